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
    assert not run.inputs.model_inputs  # this store does not know the model
    [given] = run.inputs.dataset_inputs
    assert given.dataset.digest == trained.run.inputs.dataset_inputs[1].dataset.digest
    names = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert "evaluation" in names


def test_the_page_of_the_model_has_what_was_measured(trained, at_trained, scenes):
    """The training's own figures stay, and those of another list stand beside them."""
    uri = f"runs:/{trained.run_id}/{FINAL_MODEL}"
    done = evaluate("--model", uri, "--annotation-path", scenes.train)
    assert done.exit_code == 0, done.output
    client = mlflow.MlflowClient()
    [newest] = client.search_runs(["0"], order_by=["attributes.start_time DESC"], max_results=1)
    run = client.get_run(newest.info.run_id)
    [model] = [m for m in client.search_logged_models(["0"]) if m.name == FINAL_MODEL]
    assert [given.model_id for given in run.inputs.model_inputs] == [model.model_id]
    found = {(m.key, m.dataset_name): m for m in model.metrics}
    assert found["AP50", scenes.train.stem].value == run.data.metrics["AP50"]
    assert found["AP50", scenes.train.stem].run_id == run.info.run_id
    assert found["AP50", scenes.val.stem].run_id == trained.run_id
    client.delete_run(run.info.run_id)


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
