"""Keras itself as the engine, on whatever backend it runs."""

import threading

import keras
import numpy as np

from yolo3.network.decoding import with_decoding
from yolo3.network.spec import NetworkSpec


class KerasEngine:
    """Run the network and its decoding as one compiled Keras function, on any backend.

    Pictures pass one at a time: TensorFlow multiplies a batch of one in another order than a longer
    one, which moves a box of a large photograph by hundredths of a pixel, and at 416x416 on a CPU a
    batch gains only some 5 %. So what is found in a picture never depends on its company.
    Raises ValueError when the network's outputs are not those that the spec describes.
    """

    def __init__(self, network: keras.Model, spec: NetworkSpec):
        self._model = with_decoding(network, spec)
        # XLA on a CPU compiles for long and runs this network slower than TensorFlow's own kernels.
        use_xla = False if keras.backend.backend() == "tensorflow" else "auto"
        self._model.compile(jit_compile=use_xla)
        self._lock = threading.Lock()  # Keras builds its compiled function without one

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch; see Engine."""
        found = [self._run(pixels[number : number + 1]) for number in range(len(pixels))]
        boxes, scores = zip(*found, strict=True)
        return np.concatenate(boxes), np.concatenate(scores)

    def _run(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            boxes, scores = self._model.predict_on_batch(picture)  # (1, N, 4), (1, N, C)
        return np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
