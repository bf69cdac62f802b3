"""Darknet's files in and out: `.cfg`, the text that lists the layers, and `.weights`."""

from yolo3.network.darknet.weights import read_darknet_weights

__all__ = ["read_darknet_weights"]
