import numpy as np
import pytest

from yolo3.data.images import letterbox
from yolo3.detector.engines import (
    KERAS,
    OPENVINO,
    EngineChoice,
    build_engine,
    choose_engine,
    open_engine,
)
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.openvino_engine import OpenVINOEngine, fastest_precision


def test_an_unknown_engine_is_an_error():
    with pytest.raises(ValueError, match="engine is 'abacus', expected openvino or keras"):
        EngineChoice("abacus")


def test_the_precision_is_what_the_processor_has_units_for():
    assert choose_engine(OPENVINO) == EngineChoice(OPENVINO, fastest_precision())
    assert choose_engine(KERAS) == EngineChoice(KERAS, "float32")


def test_an_engine_that_was_built_is_the_one_that_is_opened(network, spec, photo, tmp_path):
    pixels = letterbox(photo, spec.input_wh)[0][None]
    network.save(tmp_path / "model.keras")
    for name, kind in ((KERAS, KerasEngine), (OPENVINO, OpenVINOEngine)):
        built = build_engine(choose_engine(name), network, spec, tmp_path)
        opened = open_engine(choose_engine(name), spec, tmp_path)
        assert isinstance(built, kind) and isinstance(opened, kind)
        for a, b in zip(built(pixels), opened(pixels), strict=True):
            np.testing.assert_array_equal(a, b)
