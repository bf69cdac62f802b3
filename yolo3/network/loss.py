"""YOLOv3's loss, by components."""

from keras import ops

from yolo3.network.grid import decode_boxes, join_scales
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
    given, target = join_scales(raw_outputs, spec), join_scales(targets, spec)
    positive = target.objectness  # (B, N)
    found_xyxy = decode_boxes(given, spec)  # four of (B, N)
    overlap = _best_overlap(map(ops.stop_gradient, found_xyxy), truths_xyxy)
    judged = ops.where(overlap < IGNORE_THRESHOLD, 1.0, positive)  # positive, or surely negative
    width, height = spec.input_wh
    small = 2 - _area(*target.box) / (width * height)
    boxes = positive * small * (1 - ciou_xyxy(found_xyxy, target.box))
    found = judged * _cross_entropy(positive, given.objectness)
    classed = positive * _cross_entropy(target.classes, given.classes)  # (C, B, N)
    boxes_count = ops.maximum(ops.sum(positive), 1.0)
    sums = zip(COMPONENTS, (boxes, found, classed), strict=True)
    return {name: WEIGHTS[name] * ops.sum(values) / boxes_count for name, values in sums}


def _cross_entropy(target, logit):
    """Binary cross-entropy of a logit, without overflow at either end."""
    return ops.relu(logit) - logit * target + ops.softplus(-ops.abs(logit))


def _best_overlap(found_xyxy, truths_xyxy):
    """Give each found box, four of (B, N), its largest IoU with the truths (B, T, 4): (B, N)."""
    x1, y1, x2, y2 = (number[..., None] for number in found_xyxy)  # (B, N, 1)
    u1, v1, u2, v2 = (truths_xyxy[:, None, :, number] for number in range(4))  # (B, 1, T)
    wide = ops.relu(ops.minimum(x2, u2) - ops.maximum(x1, u1))  # (B, N, T)
    overlap = wide * ops.relu(ops.minimum(y2, v2) - ops.maximum(y1, v1))
    union = _area(x1, y1, x2, y2) + _area(u1, v1, u2, v2) - overlap
    return ops.max(overlap / ops.maximum(union, 1e-6), axis=-1)


def _area(x1, y1, x2, y2):
    return (x2 - x1) * (y2 - y1)


def ciou_xyxy(a, b):
    """Compare boxes pairwise by complete IoU, finite for empty boxes too.

    a, b: x1, y1, x2, y2, arrays of one shape each, which is that of what is returned.
    Zheng et al. 2020, equations 8 to 11. Keras's own `compute_ciou` leaves width / height without
    a floor, and its gradient through alpha, which the paper holds constant.
    """
    ax1, ay1, ax2, ay2 = a
    bx1, by1, bx2, by2 = b
    wide = ops.relu(ops.minimum(ax2, bx2) - ops.maximum(ax1, bx1))
    overlap = wide * ops.relu(ops.minimum(ay2, by2) - ops.maximum(ay1, by1))
    iou = overlap / ops.maximum(_area(*a) + _area(*b) - overlap, 1e-6)
    hull_w = ops.maximum(ax2, bx2) - ops.minimum(ax1, bx1)
    hull_h = ops.maximum(ay2, by2) - ops.minimum(ay1, by1)
    apart_x, apart_y = (ax1 + ax2 - bx1 - bx2) / 2, (ay1 + ay2 - by1 - by2) / 2
    diagonal = ops.maximum(hull_w * hull_w + hull_h * hull_h, 1e-6)
    distance = (apart_x * apart_x + apart_y * apart_y) / diagonal
    angle = ops.arctan2(ax2 - ax1, ops.maximum(ay2 - ay1, 1e-6)) - ops.arctan2(
        bx2 - bx1, ops.maximum(by2 - by1, 1e-6)
    )
    shape = 0.4052847 * angle * angle  # 4 / pi^2
    alpha = ops.stop_gradient(shape / ops.maximum(1 - iou + shape, 1e-6))
    return iou - distance - alpha * shape
