"""What the tests of the job share: tiny settings, and trainings that end in seconds."""

import json
import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from click.testing import CliRunner
from mlflow.environment_variables import MLFLOW_REGISTRY_URI
from mlflow.tracking import MlflowClient
from server_cases import environment

import train

PROJECT = Path(__file__).resolve().parents[1]
INPUT_SIZE = "96x64"
NO_THRESHOLD = {"score_threshold": 0.001, "max_detections": 100}  # as evaluation detects


@dataclass(frozen=True)
class Scenes:
    """A few rendered pictures in VOC shape, as one list and divided into two."""

    folder: Path
    every: Path
    train: Path  # 8 pictures
    val: Path  # 4 pictures


_FETCHED = tempfile.TemporaryDirectory()


@dataclass(frozen=True)
class Trained:
    """A training that ended well, and how to ask for what it recorded."""

    run_id: str
    output: str
    options: dict
    store: str  # tracking URI
    runs: tuple[str, ...] = ()  # all that the store had when it ended, where that is known

    @property
    def client(self):
        return MlflowClient(self.store)

    @property
    def run(self):
        return self.client.get_run(self.run_id)

    @property
    def metrics(self):
        return self.run.data.metrics

    def files(self, folder=""):
        """List all artifact files below a folder."""
        found = []
        for file in self.client.list_artifacts(self.run_id, folder or None):
            found += self.files(file.path) if file.is_dir else [file.path]
        return sorted(found)

    @property
    def log_dir(self):
        return Path(self.options["log_dir"])

    def local(self, name):
        """Fetch a copy of an artifact, which goes with the process."""
        folder = Path(_FETCHED.name, self.run_id)
        folder.mkdir(exist_ok=True)
        return Path(self.client.download_artifacts(self.run_id, name, str(folder)))

    def json(self, name):
        return json.loads(self.local(name).read_text("utf-8"))

    def model_folder(self, name):
        """Give the folder of a logged model; for a store on this machine."""
        [found] = [m for m in self.client.search_logged_models(["0"]) if m.name == name]
        return Path(found.artifact_location.removeprefix("file://"))

    def history(self, name):
        """Give a metric's (step, value) pairs."""
        return [(m.step, m.value) for m in self.client.get_metric_history(self.run_id, name)]


@contextmanager
def tracking_in(folder, patch):
    """Work in a folder; without a setting, MLflow's store lies where one works."""
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    MLFLOW_REGISTRY_URI.unset()  # which MLflow itself leaves
    patch.chdir(folder)
    yield mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(None)


def tiny_options(scenes, log_dir, **changes):
    """Give options of a training that takes seconds."""
    return {
        "annotation_path": str(scenes.train),
        "val_annotation_path": str(scenes.val),
        "weights_path": "none",
        "log_dir": str(log_dir),
        "input_size": INPUT_SIZE,
        "batch_size": 4,
        "frozen_epochs": 1,
        "fine_tune_epochs": 1,
        "initial_lr": 0.01,
        "precision": "float32",  # on every machine
    } | changes


def as_arguments(options):
    pairs = (("--" + name.replace("_", "-"), str(value)) for name, value in options.items())
    return [word for pair in pairs for word in pair]


def run_training(options) -> Trained:
    """Run `train.py` in this process, as a user would; raise what it raises."""
    done = CliRunner().invoke(train.main, as_arguments(options), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    [run_id] = re.findall(r"^MLflow run (\w+) at ", done.output, re.MULTILINE)
    store = mlflow.get_tracking_uri()
    runs = tuple(run.info.run_id for run in MlflowClient(store).search_runs(["0"]))
    return Trained(run_id, done.output, options, store, runs)


def fail_training(options) -> str:
    """Run `train.py` in this process; return the sentences that it ends with."""
    done = CliRunner().invoke(train.main, as_arguments(options), catch_exceptions=False)
    assert done.exit_code == 1 and "Traceback" not in done.output, done.output
    return done.output


def start_and_stop(command, folder, line, stop):
    """Run a command until it prints a line that begins so, stop it, and return what it printed."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=str(PROJECT), PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        printed = []
        for told in process.stdout:
            printed.append(told)
            if told.startswith(line):
                stop(process)
                line = "\0"
        return "".join(printed)


def run_id_in(printed):
    return re.findall(r"^MLflow run (\w+) at ", printed, re.MULTILINE)[0]
