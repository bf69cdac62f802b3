"""What the benchmarks train on: the sample, as the main job reads it."""

from functools import partial
from pathlib import Path

PROJECT = Path(__file__).parents[1]
BASE = PROJECT / "model_data" / "yolo_tiny_base.keras"


def read_sample(input_size: int):
    """Read the sample's pictures and the spec of a network for them."""
    from yolo3.data.annotations import read_annotations, read_classes
    from yolo3.network.spec import make_spec, read_anchors

    names = read_classes(PROJECT / "model_data" / "yolo_custom_classes.txt")
    pictures, _ = read_annotations(PROJECT / "voc" / "list_master.txt", names, PROJECT)
    anchors_wh = read_anchors(PROJECT / "model_data" / "yolo_tiny_anchors.txt")
    return pictures, make_spec(names, anchors_wh, (input_size, input_size))


def batches_of(pictures, spec, batch_size, **options):
    """Make training batches as the main job does."""
    from yolo3.data.augmentation import Augmentation
    from yolo3.data.batches import Batches
    from yolo3.network.grid import encode

    encoding = partial(encode, spec=spec)
    options = {"augmentation": Augmentation(), "seed": 1, "workers": 2} | options
    return Batches(pictures, spec.input_wh, encoding, batch_size, **options)


def network_on_base(spec, precision):
    """Build the network on the shipped base; gives it and the names of the filled layers."""
    import keras

    from yolo3.network.formats import read_file
    from yolo3.network.model import build_network
    from yolo3.network.weights import fill

    keras.utils.set_random_seed(1)
    network = build_network(spec, precision)
    return network, fill(network, read_file(BASE, network).arrays, BASE.name).filled
