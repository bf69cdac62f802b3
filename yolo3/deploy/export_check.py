"""Hold an exported file against Keras on real pictures: how far apart, how long each takes."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from yolo3.data.folders import pictures_below
from yolo3.data.images import read_image
from yolo3.data.pictures import Entry, Picture, check_entries, raise_if_any
from yolo3.deploy.exports import ExportError, size_of
from yolo3.deploy.runtimes import open_export
from yolo3.detector.detector import Detector
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.parity import compare_engines
from yolo3.detector.pyfunc import Settings
from yolo3.evaluation.latency import latency
from yolo3.evaluation.machine import describe

MOST_PICTURES = 32
MOST_PIXELS, MOST_SCORE = 0.5, 0.01
"""Differences above these are no rounding: the file computes something else than Keras."""


@dataclass(frozen=True)
class Check:
    """What was found: parity as `compare_engines` has it, medians of milliseconds for a picture.

    A picture's time is that of letterbox, network, decoding and suppression.
    """

    format: str
    pictures: int
    candidates: int
    box_pixels: float
    score: float
    keras_ms: float
    export_ms: float
    bytes: int
    machine: str

    def is_equal(self) -> bool:
        """Tell whether the differences are those of rounding."""
        return self.box_pixels <= MOST_PIXELS and self.score <= MOST_SCORE

    def table(self) -> str:
        """Write the numbers as a table in Markdown."""
        return (
            "| | largest box difference | largest score difference | latency | size |\n"
            "| --- | --- | --- | --- | --- |\n"
            f"| Keras | | | {self.keras_ms:.1f} ms | |\n"
            f"| {self.format} | {self.box_pixels:.2g} px | {self.score:.2g} | "
            f"{self.export_ms:.1f} ms | {self.bytes / 1e6:.1f} MB |\n"
            f"\n{self.candidates} candidates in {self.pictures} pictures, one picture at a time, "
            f"on {self.machine}\n"
        )


def read_pictures(folder: Path) -> list[Picture]:
    """Read up to 32 pictures of a folder, evenly taken; ExportError where there are none.

    Raises DataError for a picture that cannot be read.
    """
    paths = pictures_below(folder)
    if not paths:
        raise ExportError(f"{folder}: holds no pictures to check the export on")
    chosen = np.unique(np.linspace(0, len(paths) - 1, MOST_PICTURES).round().astype(int))
    entries = [
        Entry(paths[index], [], [], str(folder), order) for order, index in enumerate(chosen)
    ]
    pictures, unreadable, _ = check_entries(entries)
    raise_if_any(unreadable)
    return pictures


def check_export(
    kind: str, output: Path, network: keras.Model, settings: Settings, pictures: Sequence[Picture]
) -> Check:
    """Run Keras and the exported file on the pictures, and compare."""
    spec = settings.spec
    engines = (KerasEngine(network, spec), open_export(kind, output, spec))
    detectors = [Detector(engine, spec, thresholds=settings.thresholds) for engine in engines]
    prepared = (detectors[0].prepare(read_image(picture.path)) for picture in pictures)
    parity = compare_engines(*engines, prepared)
    times = latency([detector.detect for detector in detectors], pictures)  # (2, P)
    keras_ms, export_ms = np.median(times, axis=1).tolist()
    return Check(
        kind,
        parity.pictures,
        parity.candidates,
        parity.box_pixels,
        parity.score,
        keras_ms,
        export_ms,
        size_of(kind, output),
        describe(),
    )


def write_check(check: Check, output: Path) -> list[Path]:
    """Write `NAME.check.json` and `NAME.check.md` beside an export."""
    told, shown = (output.with_name(f"{output.name}.check.{end}") for end in ("json", "md"))
    told.write_text(json.dumps(asdict(check), indent=2) + "\n", "utf-8")
    shown.write_text(check.table(), "utf-8")
    return [told, shown]
