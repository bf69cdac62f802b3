"""Repeat a run: its record, its code, its data, its environment, a training, a comparison.

run id -> record -> worktree -> inputs checked -> interpreter -> train.py -> new run -> comparison
"""

import getpass
import json
import os
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)

from yolo3.tracking.reproduce import report
from yolo3.tracking.reproduce.checkout import checked_out
from yolo3.tracking.reproduce.compare import Comparison, compare
from yolo3.tracking.reproduce.inputs import find_inputs
from yolo3.tracking.reproduce.interpreter import find_interpreter
from yolo3.tracking.reproduce.record import Record, ReproduceError, read_record

REPRODUCES = "reproduces"  # a tag of the new run: the id of the old
VERDICT = "reproduction"  # another: identical, or differs
LEFT_OUT = {"registered_model_name": ""}
"""Settings that are not repeated: what was registered once is not registered again."""

STOP_SECONDS = 30.0  # in which a training that is asked to end may save and log


@dataclass(frozen=True)
class Wish:
    """Hold what the user chose; see `python -m yolo3 reproduce --help`.

    given: files to take in place of those that the run names, by the name of the setting.
    """

    run_id: str
    given: dict[str, str]
    environment: str = "auto"
    threads: int = 0


def reproduce(wish: Wish) -> Comparison:
    """Train again what a run recorded, in a new run, and compare the two.

    Inside `mlflow run` the new run is the one that it opened. Raises ReproduceError, DataError or
    another ValueError of this project where the run cannot be repeated.
    """
    client = MlflowClient()
    with tempfile.TemporaryDirectory(prefix="reproduce-") as temporary:
        room = Path(temporary)
        record = read_record(client, wish.run_id, _new(room / "old"))
        _tell_record(record)
        with checked_out(record) as tree:
            inputs = find_inputs(record, tree, wish.given)
            _tell(*inputs.lines)
            interpreter = find_interpreter(record, wish.environment, room / "venv")
            _tell(interpreter.line)
            values, notes = _values(record, inputs.values, wish.threads)
            _tell(*notes)
            new_id = _open_run(client, record)
            command = [str(interpreter.python), "train.py", *_arguments(values)]
            variables = interpreter.variables(record.environment.get("variables", {}))
            _train(client, command, tree, variables | _tracking(client, new_id), new_id)
        new = read_record(client, new_id, _new(room / "new"))
        comparison = compare(client, record, new, notes)
        _log(client, comparison)
    _tell(*report.lines(comparison))
    return comparison


def _new(folder):
    folder.mkdir()
    return folder


def _tell(*lines):
    for line in lines:
        print(line, flush=True)


def _tell_record(record):
    source = record.source
    _tell(f"run {record.title}: commit {record.commit or 'none'}")
    if source.get("dirty"):
        changed = "its diff" if source["diff"] else "no diff"
        _tell(f"with {changed} and {len(source['untracked'])} untracked files of code")
    if source.get("left_out_count"):
        names = ", ".join(source["left_out"])
        _tell(f"{source['left_out_count']} changed or untracked files were not recorded: {names}")


def _values(record: Record, files: dict[str, str], threads: int) -> tuple[dict, list[str]]:
    """Give the settings to train with, and what is to be noted of them."""
    notes = []
    values = record.parameters | files
    values |= {name: value for name, value in LEFT_OUT.items() if name in values}
    wanted = threads or record.threads
    if "threads" in values:
        values["threads"] = wanted
    elif threads:
        raise ReproduceError("the run's code has no threads parameter, so --threads cannot be had")
    if not record.environment:
        notes.append("the run recorded no machine and no threads: other bits may come of that")
    elif wanted != record.threads:
        notes.append(f"{wanted} threads to an operation as asked, the run had {record.threads}")
    return values, notes


def _arguments(values):
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def _open_run(client, record):
    """Give the run that the training will enter, linked to the old one."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    tags = {REPRODUCES: record.run_id, MLFLOW_SOURCE_NAME: "train.py", MLFLOW_SOURCE_TYPE: "LOCAL"}
    if record.commit:
        tags[MLFLOW_GIT_COMMIT] = record.commit
    if run_id:
        for name, value in tags.items():
            client.set_tag(run_id, name, value)
        return run_id
    with suppress(ImportError, KeyError, OSError):  # a user without a name
        tags[MLFLOW_USER] = getpass.getuser()
    name = f"reproduces-{record.run.info.run_name}"
    created = client.create_run(record.run.info.experiment_id, tags=tags, run_name=name)
    return created.info.run_id


def _tracking(client, run_id):
    """Tell a process which run to enter; its folder is another, so addresses are made whole."""
    return {
        "MLFLOW_TRACKING_URI": _whole(mlflow.get_tracking_uri()),
        "MLFLOW_RUN_ID": run_id,
        "MLFLOW_EXPERIMENT_ID": client.get_run(run_id).info.experiment_id,
        "MLFLOW_EXPERIMENT_NAME": "",
    }


def _whole(uri):
    head, slashes, path = uri.partition("sqlite:///")
    if slashes and not path.startswith("/"):
        return f"{head}{slashes}{Path(path).absolute()}"
    return str(Path(uri).absolute()) if Path(uri).is_dir() else uri


def _train(client, command, tree, variables, run_id):
    """Run train.py in the run's tree; ReproduceError where it does not end well."""
    kept = {name: value for name, value in variables.items() if value}
    training = subprocess.Popen(command, cwd=tree, env=kept)
    try:
        status = training.wait()
    except BaseException:  # Ctrl-C, which train.py had too
        _stop(training)
        _end(client, run_id, "KILLED")
        raise
    if status:
        _end(client, run_id, "FAILED")
        raise ReproduceError(
            f"the training ended with status {status}, as told above: nothing to compare; "
            f"its run is {run_id}"
        )


def _stop(training):
    """Let a training end by itself for a while, then end it."""
    training.terminate()
    try:
        training.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        training.kill()
        training.wait()


def _end(client, run_id, status):
    if client.get_run(run_id).info.status in ("RUNNING", "SCHEDULED"):
        client.set_terminated(run_id, status)


def _log(client, comparison):
    run_id = comparison.new.run_id
    text = json.dumps(comparison.as_dict(), indent=1, ensure_ascii=False)
    client.log_text(run_id, text, "reproduction.json")
    client.log_text(run_id, report.html(comparison), "reproduction.html")
    client.set_tag(run_id, VERDICT, comparison.verdict)
