"""The metrics of a run, in order: kept until the tracking server has them, and sent once."""

import time
from collections.abc import Iterable

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from yolo3.tracking.outage import QUICK_TIMEOUT, asking_once, is_outage
from yolo3.tracking.secrets import redact

SYSTEM = "system/"  # MLflow's own watch over the machine; no part of a training


class Journal:
    """Send a run's metrics in the order in which they were written.

    A server that does not answer loses nothing: what is written stays, and is sent with the next.
    Nothing is sent twice: after an outage, and when a run is resumed, the journal asks which
    metrics the run has by then.
    """

    def __init__(self, run_id: str, entries: Iterable[dict] = ()):
        """Open the journal of a run; entries: what an earlier process wrote, see `entries`."""
        self._run_id = run_id
        self.entries: list[dict] = list(entries)
        self._sent = 0
        self._present: set[tuple[str, int]] | None = None  # asked for when it matters
        self._doubtful = True

    def write(
        self, numbers: dict[str, float], step: int, about: dict[str, str] | None = None
    ) -> None:
        """Write metrics of one step, which `send` sends.

        about: what they were measured on: MLflow's `model_id`, `dataset_name`, `dataset_digest`.
        """
        now = time.time_ns() // 1_000_000
        plain = {name: float(value) for name, value in numbers.items()}
        entry = {"time": now, "step": int(step), "numbers": plain, "about": about or {}}
        self.entries.append(entry)

    def log(self, numbers: dict[str, float], step: int = 0) -> None:
        """Write metrics and send them; raises what MLflow raises."""
        self.write(numbers, step)
        self.send()

    def send(self) -> None:
        """Send what has not been sent; raises what MLflow raises, and keeps it then."""
        waiting = self.entries[self._sent :]
        if not waiting:
            return
        if self._doubtful:
            self._present = self._ask()
        self._doubtful = True  # until this has gone well
        metrics = [metric for entry in waiting for metric in self._metrics(entry)]
        for start in range(0, len(metrics), 1000):  # as many as MLflow takes at once
            MlflowClient().log_batch(self._run_id, metrics[start : start + 1000])
        self._present |= {(metric.key, metric.step) for metric in metrics}
        self._sent = len(self.entries)
        self._doubtful = False

    def try_to_send(self) -> bool:
        """Send if the server answers at once; else say so and keep everything."""
        try:
            with asking_once(QUICK_TIMEOUT):
                self.send()
        except Exception as error:
            if not is_outage(error):
                raise
            count = sum(len(entry["numbers"]) for entry in self.entries[self._sent :])
            print(
                f"the tracking server at {redact(mlflow.get_tracking_uri())} does not answer; "
                f"{count} metrics are kept and sent later",
                flush=True,
            )
            return False
        return True

    def _metrics(self, entry):
        return [
            Metric(name, value, entry["time"], entry["step"], **self._about(entry))
            for name, value in entry["numbers"].items()
            if (name, entry["step"]) not in self._present
        ]

    def _about(self, entry):
        about = entry.get("about")  # checkpoints of earlier versions have none
        return about | {"run_id": self._run_id} if about else {}

    def _ask(self):
        """Ask which metrics the run has, by name and step."""
        client = MlflowClient()
        names = client.get_run(self._run_id).data.metrics
        return {
            (name, metric.step)
            for name in names
            if not name.startswith(SYSTEM)
            for metric in client.get_metric_history(self._run_id, name)
        }
