import json

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from job_cases import PROJECT, as_arguments

from yolo3.commands.main import main
from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, read_anchors
from yolo3.network.weights import fill, read_weights
from yolo3.scenes import PRETRAIN, SAMPLE
from yolo3.training.stages import frozen_layers

BASE = PROJECT / "model_data/yolo_tiny_base.keras"


def check_base(path):
    """Hold a base to what the main job needs of it: the whole body, and no outputs."""
    assert path.stat().st_size < 20e6
    arrays = read_weights(path)
    assert not [name for name in arrays if name.startswith("output")]
    anchors = read_anchors(PROJECT / "model_data/yolo_tiny_anchors.txt")
    network = build_network(make_spec(SAMPLE.class_names, anchors, (96, 96)))
    filled = fill(network, arrays, str(path))
    assert filled.left == ("output_32", "output_16") and not filled.unused
    assert frozen_layers(network, "body", filled.filled) == set(filled.filled)
    assert all(np.isfinite(array).all() for arrays_of in arrays.values() for array in arrays_of)
    return json.loads(path.with_suffix(".json").read_text("utf-8"))


def test_a_base_is_rendered_trained_and_written(base, tracking, tmp_path):
    options = {
        "output": tmp_path / "made" / "base.keras",
        "weights_path": base,
        "data": tmp_path / "scenes",
        "count": 12,
        "val_count": 4,
        "epochs": 1,
        "input_size": 64,
        "batch_size": 4,
        "log_dir": tmp_path / "logs",
    }
    (tmp_path / "scenes" / "train-12-1.part" / "JPEGImages").mkdir(parents=True)  # was killed
    done = CliRunner().invoke(main, ["pretrain", *as_arguments(options)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert sorted(f.name for f in options["data"].iterdir()) == ["train-12-1", "val-4-1000001"]
    story = check_base(options["output"])
    assert story["earlier"] == {"file": "base.keras"}
    assert story["settings"]["count"] == 12 and len(story["history"]) == 1
    assert tuple(story["class_names"]) == PRETRAIN.class_names
    assert str(tmp_path) not in json.dumps(story)  # it ships with the project
    client = mlflow.MlflowClient()
    [run] = client.search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val_loss"] == pytest.approx(story["history"][-1]["val_loss"])
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"base.keras", "base.json", "parameters.json", "requirements.txt"} <= files
    assert [folder.name for folder in (tmp_path / "logs").iterdir()] == [run.info.run_id]


def test_places_that_take_no_file_are_told_before_anything_is_rendered(tracking, tmp_path):
    (tmp_path / "file").write_text("in the way")
    mistakes = {
        "expected a file whose name ends with .keras": {"output": tmp_path / "base.h5"},
        "output: ": {"output": tmp_path / "file" / "base.keras"},
        "log_dir: ": {"output": tmp_path / "base.keras", "log_dir": tmp_path / "file" / "logs"},
    }
    for message, options in mistakes.items():
        given = as_arguments({"data": tmp_path / "scenes"} | options)
        done = CliRunner().invoke(main, ["pretrain", *given], catch_exceptions=False)
        assert done.exit_code == 1 and message in done.output, done.output
    assert not (tmp_path / "scenes").exists() and not mlflow.MlflowClient().search_runs(["0"])


def test_the_shipped_base_fits_and_is_of_other_classes():
    story = check_base(BASE)
    assert tuple(story["class_names"]) == PRETRAIN.class_names
    assert not set(story["class_names"]) & set(SAMPLE.class_names)
    assert story["best"] in story["history"] and story["best"]["val_AP50"] > 0.3
    assert not set(story["settings"]) & {"output", "data", "log_dir"}
