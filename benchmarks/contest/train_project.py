"""Train with the project that PYTHONPATH names, and write what the training alone took.

    PYTHONPATH=CHECKOUT python train_project.py ROW.json [options of train.py]

A script of its own, since the checkout may be another version than this one. The clock is this
process's processor time, of all threads, within the stages: training, validation after each epoch,
and the features that the frozen stage learns from. Also written: the model, a path.
"""

import json
import sys
import time
from pathlib import Path
from unittest.mock import patch

import mlflow

import train
from yolo3.tracking import job
from yolo3.tracking.train import Settings, train_and_evaluate


def main(row: str, *options: str) -> None:
    """Train, and write the row."""
    spent = []

    def timed(call):
        def timed_call(*given, **named):
            began = time.process_time()
            result = call(*given, **named)
            spent.append(time.process_time() - began)
            return result

        return timed_call

    settings = train.main.make_context("train.py", list(options)).params
    del settings["resume"]
    names = ("run_stage", "see_features")
    with patch.multiple(job, **{name: timed(getattr(job, name)) for name in names}):
        outcome = train_and_evaluate(Settings(**settings))
    model = mlflow.artifacts.download_artifacts(f"runs:/{outcome.run_id}/{job.FINAL_MODEL}")
    content = {"model": model, "spent_seconds": sum(spent)}
    Path(row).write_text(json.dumps(content), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
