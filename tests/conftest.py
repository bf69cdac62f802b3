import os
import shutil
import subprocess
import sys

import settings_cases  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import mlflow
import pytest
from git_cases import git, git_commit
from job_cases import (
    PROJECT,
    Scenes,
    Trained,
    as_arguments,
    run_training,
    tiny_options,
    tracking_in,
)
from server_cases import environment

from yolo3.network.model import build_network
from yolo3.network.spec import make_spec, parse_input_size, read_anchors
from yolo3.network.weights import save_body
from yolo3.scenes import write_dataset

SYS_PATH = tuple(sys.path)


@pytest.fixture(autouse=True)
def _same_sys_path():
    """Undo what loading a model adds: its code, without the other rooms, before the project's.

    Undone before a test as well, since fixtures of a module or session load models too.
    """
    sys.path[:] = SYS_PATH
    yield
    sys.path[:] = SYS_PATH


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Twelve rendered pictures, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("data") / "my scenes"
    write_dataset(folder, 12, seed=5, workers=1, progress=False)
    lines = (folder / "list_master.txt").read_text("utf-8").splitlines(keepends=True)
    for name, part in (("train", lines[:8]), ("val", lines[8:])):
        (folder / f"{name} list.txt").write_text("".join(part), "utf-8")
    every = folder / "list_master.txt"
    return Scenes(folder, every, folder / "train list.txt", folder / "val list.txt")


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A base of random weights, made for other classes and another input size."""
    anchors = read_anchors(PROJECT / "model_data/yolo_tiny_anchors.txt")
    spec = make_spec(("cup", "crown"), anchors, parse_input_size("64"))
    keras.utils.set_random_seed(7)
    return save_body(build_network(spec), spec, tmp_path_factory.mktemp("base") / "base.keras")


@pytest.fixture(scope="session")
def trained(scenes, base, empty_store, tmp_path_factory):
    """One tiny training that many tests look at: a base, two stages, three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(empty_store, folder)
    options = tiny_options(scenes, folder / "logs", weights_path=str(base), fine_tune_epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
        with tracking_in(folder, patch):
            return run_training(options)


@pytest.fixture
def at_trained(trained, tmp_path, monkeypatch):
    """Work in an empty folder, with the store of the shared training."""
    with tracking_in(tmp_path, monkeypatch):
        mlflow.set_tracking_uri(trained.store)
        yield trained


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """The project as a git repository: its folder, and the commit before one that breaks it."""
    folder = tmp_path_factory.mktemp("git") / "keras yolo"
    folder.mkdir()
    for name in ("MLproject", "conda.yaml", "requirements.txt", "train.py"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(PROJECT / "yolo3", folder / "yolo3", ignore=shutil.ignore_patterns("__py*"))
    shutil.copytree(
        PROJECT / "model_data", folder / "model_data", ignore=shutil.ignore_patterns("*.keras")
    )
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    commit = git_commit(folder, "work")
    git(folder, "rm", "--quiet", "train.py")
    git_commit(folder, "break")
    git(folder, "checkout", "--quiet", commit)
    return folder, commit


@pytest.fixture(scope="session")
def alone(clone, scenes, empty_store, tmp_path_factory):
    """A training by `train.py`, in a process and a clone of its own, whose code was changed.

    Its run was opened beforehand and has parameters as `mlflow run` writes them, and so no types.
    Without epochs the first stage is still evaluated and logged; bfloat16 trains the second.
    Keras is the engine of both.
    """
    folder = tmp_path_factory.mktemp("alone") / "my clone"
    shutil.copytree(clone[0], folder)
    (folder / ".env").write_text("TOKEN=hunter2\n")
    (folder / "yolo3/training/own.py").write_text("DECAY = 0.1\n")
    stages = folder / "yolo3/training/stages.py"
    changed = stages.read_text("utf-8").replace(
        "WEIGHT_DECAY = 5e-4", "from yolo3.training.own import DECAY as WEIGHT_DECAY"
    )
    stages.write_text(changed, "utf-8")
    options = tiny_options(scenes, "my logs", precision="mixed_bfloat16")
    options |= {"frozen_epochs": 0, "registered_model_name": "figures", "engine": "keras"}
    shutil.copy(empty_store, folder.parent)
    store = f"sqlite:///{folder.parent}/mlflow.db"
    client = mlflow.MlflowClient(store)
    artifacts = (folder.parent / "artifacts").as_uri()
    run_id = client.create_run(client.create_experiment("alone", artifacts)).info.run_id
    for name in ("annotation_path", "initial_lr"):
        client.log_param(run_id, name, "'quoted for a shell'")
    done = subprocess.run(
        [sys.executable, str(folder / "train.py"), *as_arguments(options)],
        cwd=folder.parent,
        env=environment(MLFLOW_TRACKING_URI=store, MLFLOW_RUN_ID=run_id),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return folder, Trained(run_id, done.stdout, options, store)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A new MLflow database; to make one takes seconds, to copy it none."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch, tracking_in(folder, patch):
        mlflow.MlflowClient().search_runs(["0"])
    return folder / "mlflow.db"


@pytest.fixture
def tracking(tmp_path, monkeypatch, empty_store):
    """An MLflow store of the test's own, in the folder that it runs in."""
    shutil.copy(empty_store, tmp_path)
    with tracking_in(tmp_path, monkeypatch) as store:
        yield store
