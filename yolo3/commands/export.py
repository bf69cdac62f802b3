"""Export a logged model for another runtime, and check the file against Keras."""

from collections.abc import Sequence
from pathlib import Path

import click
import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from yolo3.data.project import find_file
from yolo3.deploy.export_check import Check, check_export, read_pictures, write_check
from yolo3.deploy.exports import ExportError, check_format, export, files_of, make_card
from yolo3.detector.engines import NETWORK_FILE
from yolo3.detector.load import DATA_FOLDER, model_folder
from yolo3.detector.pyfunc import read_settings
from yolo3.network.keras_file import load_network
from yolo3.tracking.secrets import redact
from yolo3.tracking.store import TrackingError, check_store

ARTIFACTS = "exports"


def export_model(model: str, kind: str, output: Path, pictures_path: Path, log: bool) -> Check:
    """Write the file, print how near it is to Keras, and log both to the model's run.

    Raises ModelError; DataError for the pictures; and ExportError for an output that exists, for
    packages that are missing, and where the file does not find what Keras finds.
    """
    check_format(kind, output)
    pictures = read_pictures(find_file(pictures_path))
    with model_folder(model) as folder:
        described = Model.load(str(folder))
        settings = read_settings(folder / DATA_FOLDER)
        network = load_network(folder / DATA_FOLDER / NETWORK_FILE)
    source = {"model_id": described.model_id or "", "run_id": described.run_id or ""}
    export(kind, network, settings.spec, make_card(settings, source), output)
    check = check_export(kind, output, network, settings, pictures)
    files = [*files_of(kind, output), *write_check(check, output)]
    click.echo(f"{output}:\n\n{check.table()}")
    if not check.is_equal():
        raise ExportError(f"{output}: does not find what Keras finds, see the table")
    if log:
        click.echo(_log(files, kind, described.run_id))
    return check


def _log(files: Sequence[Path], kind: str, run_id: str | None) -> str:
    """Log files to a run if there is one; say what was done."""
    place = f"{ARTIFACTS}/{kind}"
    try:
        check_store()
        client = mlflow.MlflowClient()
        client.get_run(run_id or "none")
    except TrackingError as error:
        return f"not logged: {redact(str(error))}"
    except MlflowException:
        return f"not logged: {mlflow.get_tracking_uri()} has no run of this model"
    for file in files:
        if file.is_dir():
            client.log_artifacts(run_id, str(file), f"{place}/{file.name}")
        else:
            client.log_artifact(run_id, str(file), place)
    return f"logged to {place} of run {run_id}"
