import json

import mlflow
import pytest
from click.testing import CliRunner

from yolo3.commands.main import main
from yolo3.tracking.job import FINAL_MODEL


def evaluate(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(trained):
    """The final model as a folder."""
    return trained.model_folder(FINAL_MODEL)


def test_a_logged_model_measures_as_it_did_in_training(trained, model, scenes, tracking, tmp_path):
    done = evaluate("--model", model, "--annotation-path", scenes.val, "--output", tmp_path / "r")
    assert done.exit_code == 0, done.output
    [run] = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FINISHED"
    trainings = trained.json("evaluation/finetune/evaluation.json")
    for name, value in trainings["metrics"].items():
        assert run.data.metrics[name] == pytest.approx(value, abs=1e-6), name
        assert name in done.output
    here = json.loads((tmp_path / "r" / "evaluation.json").read_text("utf-8"))
    assert here["pictures"] == trainings["pictures"]
    assert sum(len(picture["detections"]) for picture in here["pictures"]) > 40
    assert run.data.params["model"] == str(model)
    [given] = run.inputs.dataset_inputs
    assert given.dataset.digest == trained.run.inputs.dataset_inputs[1].dataset.digest
    names = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert "evaluation" in names


def test_mistakes_are_told_and_open_no_run(model, scenes, tracking, tmp_path):
    (tmp_path / "classes.txt").write_text("cup\ncrown\n")
    (tmp_path / "empty").mkdir()
    mistakes = {
        "expected helmet, hat, bare": ("--classes-path", tmp_path / "classes.txt"),
        "output: ": ("--output", tmp_path / "classes.txt"),
        "the annotation list does not exist": ("--annotation-path", "nowhere.txt"),
        "is not an MLflow model": ("--model", tmp_path / "empty"),
        "no model at 'runs:/none/model'": ("--model", "runs:/none/model"),
        "no model at 'models:/none/1'": ("--model", "models:/none/1"),
        "no model at 'nowhere'": ("--model", "nowhere"),
    }
    for message, changes in mistakes.items():
        done = evaluate("--model", model, "--annotation-path", scenes.val, *changes)
        assert (done.exit_code, "Traceback" in done.output) == (1, False), done.output
        assert message in done.output
    assert not mlflow.MlflowClient().search_runs(["0"])


def test_the_models_own_names_are_accepted(model, scenes, tracking):
    classes = scenes.folder / "classes.txt"
    one = scenes.folder / "one.txt"
    one.write_text(scenes.val.read_text("utf-8").splitlines()[0], "utf-8")
    done = evaluate("--model", model, "--annotation-path", one, "--classes-path", classes)
    assert done.exit_code == 0, done.output
