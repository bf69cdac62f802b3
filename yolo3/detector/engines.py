"""What runs the network under the detector: the engines by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from yolo3.network.spec import NetworkSpec

if TYPE_CHECKING:
    import keras

OPENVINO, KERAS = "openvino", "keras"
NAMES = (OPENVINO, KERAS)
NETWORK_FILE = "model.keras"


class Engine(Protocol):
    """Run a network on a batch and decode what it says; may be called from several threads."""

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch (B, H, W, 3), RGB uint8 as `letterbox` makes them.

        What is found in a picture does not depend on the others in its batch.
        Returns boxes (B, N, 4), xyxy in pixels of the network's input, and scores (B, N, C), all
        float32; the candidates in the order of `grid.decode`.
        """


@dataclass(frozen=True)
class EngineChoice:
    """Say which engine a model was measured with, and the precision of its convolutions.

    Raises ValueError for another name; its other fields the engine itself checks.
    """

    name: str = KERAS
    precision: str = "float32"

    def __post_init__(self):
        if self.name not in NAMES:
            raise ValueError(f"engine is {self.name!r}, expected {' or '.join(NAMES)}")


def choose_engine(name: str) -> EngineChoice:
    """Choose an engine and, where it computes in several precisions, the fastest one here."""
    if name != OPENVINO:
        return EngineChoice(name)
    from yolo3.detector.openvino_engine import fastest_precision

    return EngineChoice(name, fastest_precision())


def build_engine(
    choice: EngineChoice, network: "keras.Model", spec: NetworkSpec, folder: Path
) -> Engine:
    """Make the engine of a network, with its files (see `write_engine`) in the folder."""
    if choice.name == KERAS:
        from yolo3.detector.keras_engine import KerasEngine

        return KerasEngine(network, spec)
    write_engine(choice, network, spec, folder)
    return open_engine(choice, spec, folder)


def write_engine(
    choice: EngineChoice, network: "keras.Model", spec: NetworkSpec, folder: Path
) -> None:
    """Write what an engine needs beside the network's own file into a folder.

    Raises ValueError when the network's outputs are not those that the spec describes.
    """
    if choice.name == OPENVINO:
        from yolo3.detector.openvino_model import write_openvino

        write_openvino(network, spec, folder)


def open_engine(choice: EngineChoice, spec: NetworkSpec, folder: Path) -> Engine:
    """Open the engine of a logged model, whose files are in the folder; ValueError if damaged."""
    if choice.name == OPENVINO:
        from yolo3.detector.openvino_engine import FILE, OpenVINOEngine

        return OpenVINOEngine(folder / FILE, spec, choice.precision)
    from yolo3.detector.keras_engine import KerasEngine
    from yolo3.network.keras_file import load_network

    return KerasEngine(load_network(folder / NETWORK_FILE), spec)
