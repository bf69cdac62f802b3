"""`mlflow run` of a git URI, recorded by a tracking server over http."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from job_cases import Trained, tiny_options
from server_cases import environment, mlflow_server

from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL

COPY = "but `mlflow run` of a repository works in a copy of it, "
CLOCK = ("images_per_second", "system/")  # metrics that tell of the machine


@pytest.fixture(scope="module")
def again(clone, trained, scenes, base, empty_store, tmp_path_factory):
    """Train as `trained` was, in another process, from a commit, against a server."""
    folder, commit = clone
    work = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, work)
    options = tiny_options(scenes, work / "my logs", weights_path=base, fine_tune_epochs=2)
    given = [word for name, value in options.items() for word in ("-P", f"{name}={value}")]
    with mlflow_server(work, "health", "server", "--workers", "1") as address:
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "run", folder.as_uri(), "-v", commit, *given]
            + ["--env-manager", "local"],
            cwd=work,
            env=environment(MLFLOW_TRACKING_URI=address),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout
        client = Trained("", "", {}, address).client
        [run] = client.search_runs(["0"])
        yield Trained(run.info.run_id, done.stdout, options, address)


def test_it_is_one_run_that_ended_well(again, clone):
    assert again.run.info.status == "FINISHED"
    assert again.run.data.tags["mlflow.source.git.commit"] == clone[1]
    assert again.run.data.tags["mlflow.project.entryPoint"] == "main"


def test_the_record_keeps_plain_values_beside_the_quoted_ones(again, trained, scenes):
    assert again.run.data.params["annotation_path"] == f"'{scenes.train}'"
    values = again.json("parameters.json")
    assert values["annotation_path"] == str(scenes.train)
    assert values | {"log_dir": ""} == trained.json("parameters.json") | {"log_dir": ""}
    assert set(values) <= set(again.run.data.params)


def test_the_same_settings_give_the_same_numbers_to_the_bit(again, trained):
    assert set(trained.metrics) <= set(again.metrics) | {"system/gpu"}
    names = [name for name in trained.metrics if not name.startswith(CLOCK)]
    assert len(names) > 40
    for name in names:
        assert again.history(name) == trained.history(name), name
    for stage in ("frozen", "finetune"):
        name = f"evaluation/{stage}/evaluation.json"
        assert again.json(name) == trained.json(name)
    assert again.json("result.json") == trained.json("result.json")  # with digests of the weights


@pytest.mark.slow
def test_a_model_is_promoted_through_the_server(again, clone, scenes, tmp_path):
    client = again.client
    client.create_registered_model("detector")
    for model in client.search_logged_models(["0"]):
        client.create_model_version("detector", model.model_uri, again.run_id)
    client.set_registered_model_alias("detector", "champion", "1")
    given = {"name": "detector", "annotation_path": scenes.every, "min_boxes": 5, "force": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", clone[0].as_uri(), "-v", clone[1], "-e", "promote"]
        + [word for name, value in given.items() for word in ("-P", f"{name}={value}")]
        + ["--env-manager", "local"],
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=again.store),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    aliases = client.get_registered_model("detector").aliases
    assert {alias: str(number) for alias, number in aliases.items()} == {
        "champion": "2",
        "previous": "1",
    }
    [run] = client.search_runs(["0"], "tags.`promotion.name` = 'detector'")
    promoted = Trained(run.info.run_id, done.stdout, given, again.store)
    assert promoted.files() == ["comparison.html", "comparison.json"]
    told = promoted.json("comparison.json")
    assert told["force"] and told["challenger"]["pictures_seen_in_training"] == 8
    assert client.get_model_version("detector", "2").tags["promoted_by_run"] == run.info.run_id


def test_the_server_has_artifacts_and_models(again, trained):
    files = [[f for f in run.files() if not f.startswith("source/")] for run in (again, trained)]
    assert files[0] == files[1]  # the code may be changed here, and not in the clone
    models = again.client.search_logged_models(["0"])
    assert {model.name for model in models} == {FROZEN_MODEL, FINAL_MODEL}
    assert again.run.inputs.dataset_inputs[0].dataset.digest == (
        trained.run.inputs.dataset_inputs[0].dataset.digest
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "given", "told"),
    [
        (
            "azureml_export",
            {"model": "/nowhere", "output": "my export"},
            f"Error: output is my export, {COPY}",
        ),
        (
            "main",
            {"annotation_path": "my_list.txt"},
            f"Error: annotation_path is my_list.txt, {COPY}",
        ),
        (
            "main",
            {"annotation_path": "/nowhere/list.txt"},
            "/logs/default, in the copy of the project that `mlflow run` made; -P log_dir=",
        ),
    ],
)
def test_relative_paths_do_not_silently_lead_into_the_copy(
    clone, empty_store, tmp_path, entry, given, told
):
    """MLflow clones the repository, since its address is no path: the space in it is quoted."""
    shutil.copy(empty_store, tmp_path)
    (tmp_path / "my_list.txt").write_text("of the user")
    folder, commit = clone
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", folder.as_uri(), "-v", commit, "-e", entry]
        + [word for name, value in given.items() for word in ("-P", f"{name}={value}")]
        + ["--env-manager", "local"],
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/mlflow.db"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1 and told in done.stdout, done.stdout
    assert done.stdout.count("Error: ") == 1
    copy = re.search(r"(/\S+)(: give an absolute path|/logs/default, in the copy)", done.stdout)[1]
    assert not any(Path(copy, name).exists() for name in ("my export", "logs"))
    shutil.rmtree(copy)
