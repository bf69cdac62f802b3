"""Which epoch of a stage is the best one."""

import math

from yolo3.training.checkpoint import Arrays, StageState


class Best:
    """Keep the best epoch's weights, and count the epochs since.

    The best epoch has the highest validation AP50; of those within `tolerance` of it the highest
    validation AP, and then the lowest validation loss. So one box more or less, which among few
    pictures is luck, does not end a training whose boxes still become tighter.
    """

    def __init__(self, tolerance: float, weights: Arrays):
        """Begin with the weights that a stage begins with."""
        self.weights = weights
        self.waited = 0
        self.highest = -math.inf  # AP50 of any epoch
        self.kept = None  # AP50, AP and -loss of the epoch that `weights` are of
        self._tolerance = tolerance

    def go_on(self, state: StageState) -> None:
        """Stand where an earlier process stood."""
        self.weights, self.waited, self.highest = state.best_weights, state.waited, state.highest
        self.kept = tuple(state.kept)

    def consider(self, numbers: dict[str, float], weights: Arrays) -> bool:
        """Keep an epoch's weights if it is the best so far; tell whether it is."""
        standing = rank(numbers)
        self.highest = max(self.highest, standing[0])
        if self.kept is not None and not self._beats(standing):
            self.waited += 1
            return False
        self.kept, self.weights, self.waited = standing, weights, 0
        return True

    def _beats(self, standing):
        bar = self.highest - self._tolerance
        if standing[0] < bar or self.kept[0] < bar:
            return standing[0] > self.kept[0]
        return standing[1:] > self.kept[1:]


def rank(numbers: dict[str, float]) -> tuple[float, float, float]:
    """Give what epochs are compared by, in this order; without tolerance the highest is best.

    What is not a number is the worst.
    """
    measured = (numbers["val_AP50"], numbers["val_AP"], -numbers["val_loss"])
    return tuple(map(_or_worst, measured))


def _or_worst(number):
    return -math.inf if math.isnan(number) else float(number)
