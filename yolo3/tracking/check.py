"""A run for a check: its report, counts and lists."""

import tempfile
from pathlib import Path

import mlflow

from yolo3.checks.checkup import Checkup
from yolo3.checks.report import write_check_report
from yolo3.tracking.dataset import log_pictures
from yolo3.tracking.secrets import redact, redacted
from yolo3.tracking.store import start_run

REPORT = "check.html"


def log_check(checkup: Checkup, title: str, seed: int) -> dict[str, float]:
    """Log a check to the active run: `check.html` and `check.txt`; `seed` is the training's.

    Returns the metrics that go with it, which tell how well the anchors fit; none without a box.
    """
    with tempfile.TemporaryDirectory() as temporary:
        page = write_check_report(checkup, Path(temporary) / REPORT, title, seed)
        mlflow.log_artifact(str(page))
    mlflow.log_text("\n".join(checkup.lines()) + "\n", "check.txt")
    if not len(checkup.sizes_wh):
        return {}
    return {"anchors_mean_iou": checkup.fit.mean_iou, "anchors_recall": checkup.fit.recall}


def record_check(checkup: Checkup, title: str, seed: int, parameters: dict[str, str]) -> str:
    """Log a check and its counts to a run of its own, or to the one that is open; returns its id.

    Opens the run by itself: `yolo3.tracking.run` would load Keras, which a check does without.
    """
    with start_run() as run:
        mlflow.log_params(redacted(parameters))
        for side, context in ((checkup.train, "training"), (checkup.val, "validation")):
            log_pictures(side, checkup.spec.class_names, Path(title), context)
        counts = {f"data_{kind}": count for kind, count in checkup.findings.counts.items()}
        mlflow.log_metrics(counts | log_check(checkup, title, seed))
        store = redact(mlflow.get_tracking_uri()).removeprefix("file://")
        print(f"MLflow run {run.info.run_id} at {store}", flush=True)
        return run.info.run_id
