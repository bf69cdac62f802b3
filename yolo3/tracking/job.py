"""The two stages of a training one after the other: trained, evaluated, logged, and kept.

frozen stage -> evaluation, logged model -> fine-tune stage -> the same
after each epoch: metrics -> journal -> checkpoint -> tracking server
"""

import json
import math
import tempfile
import time
from functools import partial
from pathlib import Path

import mlflow
from mlflow.models import Model
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from yolo3.data.augmentation import Augmentation
from yolo3.data.batches import Batches
from yolo3.data.pictures import read_again
from yolo3.data.project import find_file
from yolo3.detector.detector import Detector
from yolo3.detector.engines import KERAS, build_engine, choose_engine
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.mlflow_model import as_float32, log_detector, save_detector
from yolo3.detector.parity import Parity, compare_engines
from yolo3.evaluation import figures
from yolo3.evaluation.evaluate import Evaluation
from yolo3.network.grid import encode
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import NetworkSpec
from yolo3.network.weights import weights_digest
from yolo3.tracking import provenance
from yolo3.tracking import run as record
from yolo3.tracking.data import list_of
from yolo3.tracking.dataset import LabelledPictures
from yolo3.tracking.journal import Journal
from yolo3.tracking.models import describe_model, log_once, register_once
from yolo3.tracking.note import training_note
from yolo3.tracking.outage import TrackingAway, asking_once, is_outage, patiently
from yolo3.tracking.resume import Standing, upload_checkpoint
from yolo3.training.checkpoint import FILE, StageState, read_checkpoint, write_checkpoint
from yolo3.training.features import Seen, see_features
from yolo3.training.interrupt import Interrupted
from yolo3.training.learner import Learner
from yolo3.training.stages import Stage, run_stage, weights_file
from yolo3.training.validation import VAL_BATCH_SIZE, evaluate_detector, validate

FROZEN_MODEL = "keras-yolo-model-frozen-pass"
FINAL_MODEL = "keras-yolo-model"
MODELS = {"frozen_": FROZEN_MODEL, "": FINAL_MODEL}  # by the prefix of their metrics
FINE_TUNE_RATE = 0.3  # of initial_lr: the outputs alone bear more than all layers do
PARITY_PICTURES = 64  # at most, of the validation pictures, to hold the engine against Keras on
UPLOAD_SECONDS = 60.0  # at least, between two checkpoints that go to MLflow


class NotRegistered(ValueError):
    """Say that the registry refused the model of a training that has ended well."""


class Job:
    """Train the stages one after the other, and keep what the whole job must not lose."""

    def __init__(self, settings, data, network, folder, run_id, asked_to_stop):
        self.settings, self.data, self.folder = settings, data, folder
        self.run_id = run_id
        self._network, self._asked_to_stop = network, asked_to_stop
        self._features = Path(settings.log_dir) / "features"
        self._limit = settings.cache_gb * 1e9
        self._standing = None
        self._uploaded = 0.0

    def begin(self, spec: NetworkSpec, frozen: frozenset[str]):
        """Begin a training."""
        self.journal = Journal(self.run_id)
        self.history, self.metrics = [], {}
        self._set_up(spec, frozen)

    def go_on(self, standing: Standing):
        """Stand where an earlier process stood."""
        story = standing.story
        self.journal = Journal(self.run_id, story["journal"])
        self.history, self.metrics = story["history"], story["metrics"]
        self._standing = standing.state
        spec = NetworkSpec.from_json(json.dumps(story["spec"]))
        print(f"resumed after {story['epochs']} epochs, in stage {standing.state.stage}")
        self._set_up(spec, frozenset(story["frozen"]))

    def _set_up(self, spec, frozen):
        self.spec, self.frozen = spec, frozen
        self.learner = Learner(self._network, spec)
        encoding = partial(encode, spec=spec)
        train = Batches(
            self.data.train,
            spec.input_wh,
            encoding,
            self.settings.batch_size,
            augmentation=Augmentation(),
            seed=self.settings.seed,
            workers=2,
        )
        val = Batches(self.data.val, spec.input_wh, encoding, VAL_BATCH_SIZE)
        self._seen = Seen(self.learner, train, val)

    def run(self) -> dict[str, float]:
        """Run both stages, or what is left of them; returns the final metrics."""
        settings = self.settings
        if not (self._standing and self._standing.stage == "finetune"):
            stage = Stage("frozen", settings.frozen_epochs, settings.initial_lr, self.frozen)
            self.run_stage(stage, "frozen_", FROZEN_MODEL)
        boundary = len(self.history)
        stage = Stage(
            "finetune",
            settings.fine_tune_epochs,
            settings.initial_lr * FINE_TUNE_RATE,
            first_epoch=boundary,
        )
        self.run_stage(stage, "", FINAL_MODEL)
        self._patiently(partial(self._record_result, boundary))
        if settings.registered_model_name:  # last, since a registry may refuse what a run may not
            self._register(settings.registered_model_name)
        return self.metrics

    def run_stage(self, stage: Stage, prefix: str, model_name: str):
        """Train a stage, evaluate what it leaves, and log both."""
        resumed, self._standing = self._standing, None
        try:
            learner, train, val = see_features(
                self._seen, stage, self._features, self._limit, self._asked_to_stop
            )
            check = partial(validate, learner, val, self.data.val)
            ran = run_stage(
                learner,
                stage,
                train,
                check,
                self._write_epoch,
                self.folder,
                keep=self._keep,
                resumed=resumed,
                asked_to_stop=self._asked_to_stop,
            )
        except Interrupted as request:
            self._leave(stage, model_name, str(request))
            raise
        except Exception:
            self._tell_what_is_kept(stage)
            raise
        self.history += ran
        step = len(self.history)
        losses = {
            f"{stage.name}_{name.removeprefix('val_')}": value
            for name, value in check().items()
            if name.endswith("loss")
        }
        evaluation, tested, parity, model_id = self._log_stage(stage, model_name)
        measured = evaluation.metrics() | (parity.metrics() if parity else {})
        numbers = {f"{prefix}{name}": value for name, value in measured.items()}
        self.metrics |= losses | numbers
        self.journal.write(losses | numbers, step, self._about(model_id, "validation"))
        if tested:
            held_out = {f"test_{name}": value for name, value in tested.metrics().items()}
            self.metrics |= held_out
            self.journal.write(held_out, step, self._about(model_id, "test"))
        self._patiently(self.journal.send)
        print(_summary(stage.name, evaluation, parity), flush=True)
        if tested:
            print(_summary("test", tested, None, "held-out"), flush=True)

    def _log_stage(
        self, stage, model_name
    ) -> tuple[Evaluation, Evaluation | None, Parity | None, str | None]:
        """Evaluate the detector that the learner is now; log the report and the model.

        Returns the evaluation, that of the final model on held-out test images (None without
        such), how near the engine is to Keras (None for Keras itself), and the id of the logged
        model (None where the server knows none).
        """
        network = as_float32(self.learner.network)  # what is logged is what is measured
        choice = choose_engine(self.settings.engine)
        with tempfile.TemporaryDirectory() as temporary:
            built = Path(temporary)
            detector = Detector(build_engine(choice, network, self.spec, built), self.spec)
            evaluation = evaluate_detector(detector, self.data.val)
            parity = self._parity(network, detector) if choice.name != KERAS else None
            held_out = self.data.test if model_name == FINAL_MODEL else ()
            tested = evaluate_detector(detector, held_out) if held_out else None

            def log():
                provenance.log_weights(stage.name, network)
                record.log_report(evaluation, f"evaluation/{stage.name}")
                if tested:
                    record.log_report(tested, "evaluation/test")
                return self._log_model(network, choice, built, evaluation, model_name)

            return evaluation, tested, parity, self._patiently(log)

    def _about(self, model_id, context) -> dict[str, str]:
        """Name what final metrics were measured on: the logged model and the data."""
        if model_id is None:
            return {}
        path = find_file(list_of(context, self.settings))
        data = LabelledPictures(self.data.by_context[context], self.data.class_names, path)
        return {"model_id": model_id, "dataset_name": data.name, "dataset_digest": data.digest}

    def _parity(self, network, detector) -> Parity:
        """Hold the engine against Keras itself on validation pictures."""
        pictures = self.data.val[:: math.ceil(len(self.data.val) / PARITY_PICTURES)]
        prepared = (detector.prepare(read_again(picture)) for picture in pictures)
        return compare_engines(KerasEngine(network, self.spec), detector.engine, prepared)

    def _log_model(self, network, choice, built, evaluation: Evaluation, name):
        content = {
            "lock": record.LOCK,
            "thresholds": Thresholds(score_threshold=_usable(evaluation.curves.best_threshold)),
            "engine": choice,
            "built": built,
            "example": read_again(evaluation.clearest()),
        }

        def log(tags):
            step = len(self.history)
            return log_detector(network, self.spec, name=name, tags=tags, step=step, **content)

        def save(folder):
            model = Model(artifact_path=name, run_id=self.run_id)
            save_detector(network, self.spec, folder, mlflow_model=model, **content)

        return log_once(name, weights_digest(network), log, save)

    def _record_result(self, boundary: int):
        """Log what the training ends with; `boundary` epochs of it were the first stage."""
        record.log_json(self.history, "history.json")
        if self.history:
            mlflow.log_figure(
                figures.training_curves(self.history, boundary), "figures/training.png"
            )
        provenance.log_result(self.metrics)
        describe = partial(
            training_note, self.run_id, metrics=self.metrics, pictures=len(self.data.val)
        )
        mlflow.set_tag(MLFLOW_RUN_NOTE, describe(MODELS))
        for prefix, name in MODELS.items():
            describe_model(name, describe({prefix: name}))

    def _register(self, name):
        try:
            self._patiently(partial(register_once, FINAL_MODEL, name))
        except TrackingAway:
            raise
        except Exception as error:  # MLflow's, its database's, a proxy's
            raise NotRegistered(
                f"all is recorded, only the model is not registered as {name!r}: {error}\n"
                f"When that is mended, {_how_to_go_on(self.run_id)}"
            ) from error

    def _write_epoch(self, epoch, numbers):
        self.journal.write(numbers, epoch + 1)

    def _keep(self, state: StageState):
        """Keep where the training stands, here and in MLflow, and send its metrics."""
        story = {
            "epochs": len(self.history) + len(state.history),
            "history": self.history,
            "metrics": self.metrics,
            "spec": json.loads(self.spec.to_json()),
            "frozen": sorted(self.frozen),
            "journal": self.journal.entries,
        }
        try:
            write_checkpoint(self.folder / FILE, state, story)
        except OSError as error:
            print(f"no checkpoint after epoch {story['epochs']} ({error}); the last one stays")
        self.journal.try_to_send()
        if state.ended or time.monotonic() - self._uploaded > UPLOAD_SECONDS:
            self._upload(story["epochs"])

    def _upload(self, epochs):
        try:
            with asking_once():
                upload_checkpoint(self.folder / FILE, epochs)
        except Exception as error:
            if not isinstance(error, OSError) and not is_outage(error):
                raise
            print(f"no checkpoint in MLflow after epoch {epochs} ({error})")
        else:
            self._uploaded = time.monotonic()

    def _leave(self, stage, model_name, reason):
        """Save and log what an interrupted training has so far."""
        print(f"interrupted: {reason}", flush=True)
        standing = self.folder / FILE
        if standing.is_file():
            self._upload(read_checkpoint(standing)[1]["epochs"])
            self._log_stage(stage, model_name)
        print(_how_to_go_on(self.run_id), flush=True)

    def _tell_what_is_kept(self, stage):
        kept = self.folder / weights_file(stage.name)
        if kept.is_file():
            print(f"the weights so far, for weights_path: {kept}")
        print(_how_to_go_on(self.run_id), flush=True)

    def _patiently(self, call):
        return patiently(call, _how_to_go_on(self.run_id))


def _usable(threshold: float) -> float:
    """Keep a best-F1 threshold within what a detector should answer with."""
    return float(min(max(threshold, 0.05), 0.95))


def _summary(
    stage: str, evaluation: Evaluation, parity: Parity | None, kind: str = "validation"
) -> str:
    numbers = evaluation.metrics()
    summary = (
        f"{stage}: AP50 {numbers['AP50']:.3f}, AP {numbers['AP']:.3f} "
        f"on {len(evaluation.pictures)} {kind} pictures"
    )
    if parity is None:
        return summary
    return (
        f"{summary}; at most {parity.box_pixels:.3f} pixels and {parity.score:.4f} of score from "
        "what Keras computes"
    )


def _how_to_go_on(run_id: str) -> str:
    return f"go on with it: mlflow run . -P resume={run_id}, or python train.py --resume {run_id}"
