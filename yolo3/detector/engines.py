"""What runs the network under the detector."""

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Run a network on a batch and decode what it says; may be called from several threads."""

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the candidates of a batch (B, H, W, 3), RGB uint8 as `letterbox` makes them.

        What is found in a picture does not depend on the others in its batch.
        Returns boxes (B, N, 4), xyxy in pixels of the network's input, and scores (B, N, C), all
        float32; the candidates in the order of `grid.decode`.
        """
