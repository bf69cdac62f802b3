"""What a training starts from, told as it is loaded."""

import keras

from yolo3.network.weights import NO_WEIGHTS, fill, read_weights
from yolo3.tracking.run import find_file


def start_from(network: keras.Model, weights_path: str) -> tuple[str, ...]:
    """Fill the network from a weights file, or leave it random where the path is `none`.

    Prints what was filled, and returns the names of the layers that were.
    """
    if weights_path == NO_WEIGHTS:
        print("weights_path=none: training from random weights, nothing is frozen")
        return ()
    report = fill(network, read_weights(find_file(weights_path)), weights_path)
    print(f"{weights_path}: {report}")
    return report.filled
