"""YOLOv3's loss, by components."""

from keras import ops

from yolo3.network.grid import NUMBERS, decode_boxes, join_scales
from yolo3.network.spec import NetworkSpec

IGNORE_THRESHOLD = 0.7
COMPONENTS = ("box_loss", "objectness_loss", "class_loss")
WEIGHTS = {"box_loss": 2.0, "objectness_loss": 1.0, "class_loss": 0.5}


def yolo_loss(raw_outputs, targets, truths_xyxy, spec: NetworkSpec) -> dict:
    """Compare raw outputs with encoded targets.

    raw_outputs: one (B, H, W, A * (5 + C)) per scale, coarse first, float32.
    targets: one (B, H, W, A, 5 + C) per scale, as `grid.encode` writes them.
    truths_xyxy: (B, T, 4) all boxes in pixels of the input, padded with zeros.

    Returns the weighted components as scalars, each the sum over the batch divided by the number
    of boxes in it (at least one), so that none depends on the batch size and the empty picture
    gives finite numbers. A cell without a box whose decoded box overlaps some true box by more than
    IGNORE_THRESHOLD is no negative example (Redmon and Farhadi 2018, section 2.1). The box term is
    1 - CIoU (Zheng et al. 2020, "Distance-IoU Loss"), heavier for small boxes as in Darknet.
    """
    xy, wh, objectness, classes = ops.split(join_scales(raw_outputs, spec), NUMBERS, axis=-1)
    target = join_scales(targets, spec)  # (B, N, 5 + C)
    true_xyxy, positive, true_classes = ops.split(target, (4, 5), axis=-1)
    positive = positive[..., 0]  # (B, N)
    found_xyxy = decode_boxes(xy, wh, spec)  # (B, N, 4)
    overlap = _best_overlap(ops.stop_gradient(found_xyxy), truths_xyxy)
    judged = ops.where(overlap < IGNORE_THRESHOLD, 1.0, positive)  # positive, or surely negative
    width, height = spec.input_wh
    small = 2 - _area(true_xyxy) / (width * height)
    boxes = positive * small * (1 - ciou_xyxy(found_xyxy, true_xyxy))
    found = judged * _cross_entropy(positive, objectness[..., 0])
    classed = positive * ops.sum(_cross_entropy(true_classes, classes), axis=-1)
    boxes_count = ops.maximum(ops.sum(positive), 1.0)
    sums = zip(COMPONENTS, (boxes, found, classed), strict=True)
    return {name: WEIGHTS[name] * ops.sum(values) / boxes_count for name, values in sums}


def _cross_entropy(target, logit):
    """Binary cross-entropy of a logit, without overflow at either end."""
    return ops.relu(logit) - logit * target + ops.softplus(-ops.abs(logit))


def _best_overlap(found_xyxy, truths_xyxy):
    """Give each found box (B, N, 4) its largest IoU with the picture's truths (B, T, 4): (B, N)."""
    x1, y1, x2, y2 = ops.split(found_xyxy, 4, axis=-1)  # (B, N, 1)
    u1, v1, u2, v2 = ops.split(ops.transpose(truths_xyxy, (0, 2, 1)), 4, axis=1)  # (B, 1, T)
    wide = ops.relu(ops.minimum(x2, u2) - ops.maximum(x1, u1))  # (B, N, T)
    overlap = wide * ops.relu(ops.minimum(y2, v2) - ops.maximum(y1, v1))
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - overlap
    return ops.max(overlap / ops.maximum(union, 1e-6), axis=-1)


def _area(boxes_xyxy):
    return (boxes_xyxy[..., 2] - boxes_xyxy[..., 0]) * (boxes_xyxy[..., 3] - boxes_xyxy[..., 1])


def ciou_xyxy(a, b):
    """Compare boxes pairwise by complete IoU (..., 4) -> (...), finite for empty boxes too.

    Zheng et al. 2020, equations 8 to 11. Keras's own `compute_ciou` leaves width / height without
    a floor, and its gradient through alpha, which the paper holds constant.
    """
    low_a, high_a = ops.split(a, 2, axis=-1)
    low_b, high_b = ops.split(b, 2, axis=-1)
    size_a, size_b = high_a - low_a, high_b - low_b
    overlap_wh = ops.relu(ops.minimum(high_a, high_b) - ops.maximum(low_a, low_b))
    overlap = overlap_wh[..., 0] * overlap_wh[..., 1]
    union = size_a[..., 0] * size_a[..., 1] + size_b[..., 0] * size_b[..., 1] - overlap
    iou = overlap / ops.maximum(union, 1e-6)
    hull_wh = ops.maximum(high_a, high_b) - ops.minimum(low_a, low_b)
    diagonal = ops.maximum(ops.sum(hull_wh * hull_wh, axis=-1), 1e-6)
    apart_xy = (low_a + high_a - low_b - high_b) / 2
    distance = ops.sum(apart_xy * apart_xy, axis=-1) / diagonal
    angle = ops.arctan2(size_a[..., 0], ops.maximum(size_a[..., 1], 1e-6)) - ops.arctan2(
        size_b[..., 0], ops.maximum(size_b[..., 1], 1e-6)
    )
    shape = 0.4052847 * angle * angle  # 4 / pi^2
    alpha = ops.stop_gradient(shape / ops.maximum(1 - iou + shape, 1e-6))
    return iou - distance - alpha * shape
