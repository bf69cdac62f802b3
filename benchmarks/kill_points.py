"""Kill trainings at random moments, go on with them, and hold what they leave against a whole one.

    python -m benchmarks.kill_points --count 30

A tiny training on rendered scenes is run once to its end. Then it is started again and again, each
time killed (SIGKILL, the whole process group) a random time after a random line that it prints, or
while it writes a checkpoint, or while it logs a model; some are killed twice. Each is resumed to
its end. Equal means: every training and evaluation metric at every step, the digest of the weights
of both logged models, the found boxes of the evaluation, one READY model per name, and the status
FINISHED. Prints a row per trial, and writes all of it as JSON.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click
from mlflow.tracking import MlflowClient

from yolo3.evaluation.machine import describe

PROJECT = Path(__file__).parents[1]
LINES = (
    "MLflow run",
    "frozen 1/2",
    "frozen 2/2",
    "frozen: AP50",
    "finetune 1/2",
    "finetune 2/2",
    "finetune: AP50",
)
CLOCK = ("images_per_second", "system/")
MODELS = ("keras-yolo-model-frozen-pass", "keras-yolo-model")


@dataclass(frozen=True)
class Moment:
    """Say when to kill: seconds after a line, or when such a file appears after it."""

    line: str
    seconds: float
    file: str = ""

    def __str__(self):
        when = f"file {self.file}" if self.file else f"{self.seconds:.2f} s"
        return f"{self.line!r} + {when}"


def _moments(count: int, seed: int) -> list[list[Moment]]:
    """Draw one or two moments for each trial; every fifth waits for a file."""
    rng = random.Random(seed)
    trials = []
    for number in range(count):
        trial = []
        for _ in range(1 + (rng.random() < 0.25)):
            line = rng.choice(LINES)
            file = ""
            if number % 5 == 0:
                file = rng.choice((".checkpoint.npz.part", "MLmodel"))
                line = rng.choice(LINES[:5])
            trial.append(Moment(line, rng.uniform(0, 4), file))
        trials.append(trial)
    return trials


def _command(folder: Path, scenes: Path) -> list[str]:
    options = {
        "--annotation-path": scenes / "train.txt",
        "--val-annotation-path": scenes / "val.txt",
        "--input-size": "96x64",
        "--batch-size": 4,
        "--frozen-epochs": 2,
        "--fine-tune-epochs": 2,
        "--log-dir": folder / "logs",
        "--registered-model-name": "killed",
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, str(PROJECT / "train.py"), *words]


def _run(command: list[str], folder: Path, moment: Moment | None) -> tuple[str, bool]:
    """Run a training, kill it at the moment; return what it printed, and whether it was killed."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    printed, killers = [], []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        for line in process.stdout:
            printed.append(line)
            if moment and not killers and line.startswith(moment.line):
                killers.append(threading.Thread(target=_kill, args=(process, folder, moment)))
                killers[0].start()
    for killer in killers:
        killer.join()
    return "".join(printed), process.returncode == -signal.SIGKILL


def _kill(process, folder, moment):
    if moment.file:
        known = set(folder.rglob(moment.file))
        while process.poll() is None and not set(folder.rglob(moment.file)) - known:
            time.sleep(0.002)
    else:
        time.sleep(moment.seconds)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _run_id(printed):
    [line, *_] = [line for line in printed.splitlines() if line.startswith("MLflow run ")]
    return line.split()[2]


def _left(folder: Path, run_id: str) -> dict:
    """Read all that a training leaves and that must not depend on having been killed."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    run = client.get_run(run_id)
    metrics = {
        name: [(m.step, repr(m.value)) for m in client.get_metric_history(run_id, name)]
        for name in sorted(run.data.metrics)
        if not name.startswith(CLOCK)
    }
    models = client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    boxes = {
        stage: Path(
            client.download_artifacts(run_id, f"evaluation/{stage}/evaluation.json")
        ).read_text("utf-8")
        for stage in ("frozen", "finetune")
    }
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    return {
        "status": run.info.status,
        "metrics": metrics,
        "models": sorted((m.name, str(m.status), m.tags.get("weights_sha256")) for m in models),
        "boxes": boxes,
        "versions": len(versions),
    }


def _trial(folder: Path, store: Path, scenes: Path, moments: list[Moment], whole: dict) -> dict:
    """Kill a training, resume it, and compare; `differs` names what is not equal."""
    folder.mkdir()
    shutil.copy(store, folder / "mlflow.db")
    command = _command(folder, scenes)
    row = {"moments": [str(moment) for moment in moments], "killed": 0, "differs": []}
    run_id = None
    for moment in [*moments, None]:
        printed, killed = _run(command, folder, moment)
        row["killed"] += killed
        run_id = run_id or _run_id(printed)
        if not killed:
            break
        command = [sys.executable, str(PROJECT / "train.py"), "--resume", run_id]
    if "recorded parameters.json: start it anew" in printed:
        return row | {"outcome": "nothing recorded yet"}
    finished = f"runs:/{run_id}" in printed or "is finished; there is nothing left" in printed
    if killed or not finished:
        return row | {"outcome": "failed", "printed": printed[-2000:]}
    left = _left(folder, run_id)
    row["differs"] = [name for name in whole if left[name] != whole[name]]
    for name in set(left["metrics"]) ^ set(whole["metrics"]):
        row["differs"].append(f"metric {name}")
    for name, values in left["metrics"].items():
        if values != whole["metrics"].get(name):
            row["differs"].append(f"metric {name}: {values} for {whole['metrics'].get(name)}")
    return row | {"outcome": "differs" if row["differs"] else "equal"}


@click.command(context_settings={"show_default": True})
@click.option("--count", default=30, type=click.IntRange(1), help="Trainings to kill.")
@click.option("--seed", default=1, help="Where the moments are drawn from.")
@click.option("--output", default="logs/kill_points", type=click.Path(path_type=Path))
def main(count, seed, output):
    """Tell how many killed trainings end equal to one that was not."""
    from yolo3.scenes import write_dataset

    print(describe())
    output = output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    scenes = output / "scenes"
    write_dataset(scenes, 12, seed=5, progress=False)
    lines = (scenes / "list_master.txt").read_text("utf-8").splitlines(keepends=True)
    (scenes / "train.txt").write_text("".join(lines[:8]), "utf-8")
    (scenes / "val.txt").write_text("".join(lines[8:]), "utf-8")
    (output / "empty").mkdir()
    store = output / "empty" / "mlflow.db"
    MlflowClient(f"sqlite:///{store}").search_runs(["0"])
    (output / "whole").mkdir()
    shutil.copy(store, output / "whole" / "mlflow.db")
    printed, _ = _run(_command(output / "whole", scenes), output / "whole", None)
    whole = _left(output / "whole", _run_id(printed))
    rows = []
    for number, moments in enumerate(_moments(count, seed), start=1):
        row = _trial(output / f"trial-{number}", store, scenes, moments, whole)
        rows.append(row)
        shutil.rmtree(output / f"trial-{number}") if row["outcome"] == "equal" else None
        print(f"{number:3} {row['outcome']:8} killed {row['killed']}: {row['moments']}", flush=True)
        for difference in row["differs"]:
            print(f"      {difference}")
        result = {"machine": describe(), "seed": seed, "rows": rows}
        (output / "kill_points.json").write_text(json.dumps(result, indent=1), "utf-8")
    equal = sum(row["outcome"] == "equal" for row in rows)
    kills = sum(row["killed"] for row in rows)
    print(f"{len(rows)} trainings, killed {kills} times: {equal} ended equal")
    sys.exit(equal != len(rows))


if __name__ == "__main__":
    main()
