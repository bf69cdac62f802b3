"""Promotions as a user runs them, of detectors for which some pictures are made to measure.

What a random network finds in pictures is listed as their truth: it is then a perfect detector, and
a copy that is blind to a class is a worse one.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from detector_cases import ANCHORS, make_network, make_photo
from job_cases import PROJECT
from mlflow import MlflowClient

from yolo3.commands.main import main
from yolo3.data.annotations import read_annotations, write_annotations
from yolo3.detector.checksums import write_sums
from yolo3.detector.detector import Detector
from yolo3.detector.engines import EngineChoice, write_engine
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.pyfunc import Settings, write_settings
from yolo3.network.model import output_layers
from yolo3.network.postprocess import Thresholds
from yolo3.network.spec import make_spec
from yolo3.tracking.job import FINAL_MODEL
from yolo3.tracking.promote import _pictures_seen
from yolo3.tracking.registry import Registry

NAMES = ("helmet", "hat", "bare")
ENGINE = EngineChoice("openvino")
NAME = "my detector"


@dataclass(frozen=True)
class Bench:
    """Model folders by what their detectors do not see, and the list that `all` is perfect on."""

    models: dict[str, Path]
    list: Path

    def register(self, *models):
        """Register models as versions 1, 2, …"""
        client = MlflowClient()
        client.create_registered_model(NAME)
        for model in models:
            client.create_model_version(NAME, str(self.models[model]))

    def promote(self, *words):
        arguments = ["promote", "--name", NAME, "--annotation-path", self.list, "--min-boxes", 10]
        arguments += ["--resamples", 200, "--latency-factor", 100, *words]
        return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def bench(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("promote")
    spec = make_spec(NAMES, ANCHORS, (64, 64))
    network = make_network(spec, seed=3)
    bench = Bench({}, _write_list(folder, Detector(KerasEngine(network, spec), spec)))
    weights = network.get_weights()
    for blind in ((), (1,), (0, 2)):
        network.set_weights(weights)
        for class_id in blind:
            _blind(network, class_id)
        name = " ".join(NAMES[class_id] for class_id in blind) or "all"
        bench.models[name] = folder / name
        shutil.copytree(trained.model_folder(FINAL_MODEL), folder / name)
        data = folder / name / "data"
        network.save(data / "model.keras")
        write_engine(ENGINE, network, spec, data)
        write_settings(data, Settings(spec, Thresholds(), ENGINE))
    bench.models["others"] = folder / "others"
    shutil.copytree(bench.models["all"], folder / "others")
    other = replace(spec, class_names=("hat", "helmet", "bare"))
    write_settings(folder / "others" / "data", Settings(other, Thresholds(), ENGINE))
    for place in bench.models.values():
        write_sums(place)
    return bench


def _write_list(folder, detector):
    """Write pictures, and a list of what the detector finds in them."""
    for seed in range(8):
        make_photo(seed, (90 + 7 * seed, 80)).save(folder / f"{seed}.png")
    blank = folder / "blank.txt"
    blank.write_text("".join(f"{seed}.png\n" for seed in range(8)))
    pictures, _ = read_annotations(blank, NAMES, PROJECT)
    images = [make_photo(seed, (90 + 7 * seed, 80)) for seed in range(8)]
    found = detector.detect(images, score_threshold=0.62)
    labelled = [
        replace(picture, boxes_xyxy=own.boxes_xyxy, class_ids=own.class_ids)
        for picture, own in zip(pictures, found, strict=True)
    ]
    write_annotations(labelled, folder / "my list.txt")
    return folder / "my list.txt"


def _blind(network, class_id):
    for layer in output_layers(network):
        kernel, bias = layer.get_weights()
        channel = slice(5 + class_id, None, 5 + len(NAMES))
        kernel[..., channel], bias[channel] = 0, -20
        layer.set_weights([kernel, bias])


def aliases():
    found = MlflowClient().get_registered_model(NAME).aliases
    return {alias: str(number) for alias, number in found.items()}


def last_run():
    return MlflowClient().search_runs(["0"], order_by=["attributes.start_time DESC"])[0]


def comparison(run):
    return json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/comparison.json"))


def tags(version):
    return MlflowClient().get_model_version(NAME, version).tags


def test_the_first_a_worse_one_a_forced_one_and_the_way_back(bench, tracking):
    bench.register("all", "hat")
    _first(bench)
    _refused(bench)
    _forced(bench)
    done = bench.promote("--challenger", "previous")
    assert done.exit_code == 0 and aliases() == {"champion": "1", "previous": "2"}
    assert tags("1")["forced"] == "false" and tags("1")["promoted_over"] == "2"
    done = bench.promote("--challenger", f"models:/{NAME}@champion", "--force")
    assert done.exit_code == 0
    assert done.output == f"version 1 of {NAME!r} is champion already, nothing to compare\n"
    assert len(MlflowClient().search_runs(["0"])) == 4


def _first(bench):
    done = bench.promote("--challenger", "1", "--floor", "0.9")
    assert done.exit_code == 0, done.output
    assert aliases() == {"champion": "1"}
    run = last_run()
    assert tags("1") == {
        "promoted_by_run": run.info.run_id,
        "promoted_over": "none",
        "forced": "false",
    }
    assert run.data.tags["promotion.champion"] == run.data.params["champion_version"] == "none"
    told = comparison(run)
    assert (told["decision"], told["champion"], told["force"]) == ("promoted", None, False)
    assert run.data.metrics["challenger_AP50"] == pytest.approx(1, abs=1e-6)


def _refused(bench):
    done = bench.promote()
    assert done.exit_code == 1, done.output
    assert aliases() == {"champion": "1"}
    assert "Refused: version 1 stays champion. Version 2: AP50 lost 0.333, at most" in done.output
    assert "hat lost 1.000, at most 0.05 is tolerated" in done.output
    run = last_run()
    assert run.info.status == "FINISHED"
    names = {file.path for file in MlflowClient().list_artifacts(run.info.run_id)}
    assert names == {"comparison.html", "comparison.json"}
    told = comparison(run)
    assert (told["decision"], told["passed"], told["force"]) == ("refused", False, False)
    assert (told["champion"]["number"], told["challenger"]["number"]) == ("1", "2")
    assert [line["key"] for line in told["lines"] if line["verdict"] == "worse"] == [
        "AP50",
        "AP50_hat",
    ]
    assert told["latency"]["pictures"] == 8 and " cores" in told["latency"]["machine"]
    _recorded(bench, run, told)
    assert tags("2") == {"refused_by_run": run.info.run_id, "refused_because": told["reason"]}


def _recorded(bench, run, told):
    assert run.data.params["annotation_path"] == str(bench.list)
    assert run.data.params["min_boxes"] == "10" and run.data.params["force"] == "false"
    assert run.data.tags["promotion.champion"] == f"models:/{NAME}/1"
    assert run.data.tags["promotion.challenger"] == f"models:/{NAME}/2"
    assert run.data.tags["promotion.decision"] == "refused"
    assert run.data.metrics["AP50_hat_change"] == pytest.approx(-1, abs=1e-6)
    assert run.data.metrics["AP50_change_high"] < 0 < run.data.metrics["latency_ratio"]
    [given] = run.inputs.dataset_inputs
    assert json.loads(given.dataset.profile)["sha256"] == told["list"]["sha256"]
    page = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/comparison.html")
    assert "Refused: version 1 stays champion" in page and page.count("data:image/jpeg") == 6


def _forced(bench):
    done = bench.promote("--force")
    assert done.exit_code == 0, done.output
    assert aliases() == {"champion": "2", "previous": "1"}
    assert "Forced: version 2 is champion over version 1, although AP50 lost" in done.output
    run = last_run()
    assert tags("2")["forced"] == "true" and tags("2")["promoted_by_run"] == run.info.run_id
    told = comparison(run)
    assert (told["decision"], told["passed"], told["force"]) == ("forced", False, True)
    assert run.data.params["force"] == run.data.tags["promotion.force"] == "true"


def test_equals_pass_unless_one_is_too_slow(bench, tracking):
    bench.register("all", "all")
    MlflowClient().set_registered_model_alias(NAME, "champion", "1")
    done = bench.promote("--latency-factor", "0.001")
    assert done.exit_code == 1 and "latency takes" in done.output, done.output
    assert aliases() == {"champion": "1"}
    done = bench.promote("--force", "false")
    assert done.exit_code == 0 and aliases() == {"champion": "2", "previous": "1"}
    told = comparison(last_run())
    assert told["lines"][0]["change"] == {"value": 0.0, "span": [0.0, 0.0]}


def test_a_class_that_is_lost_refuses_a_better_mean(bench, tracking):
    bench.register("helmet bare", "hat")
    MlflowClient().set_registered_model_alias(NAME, "champion", "1")
    done = bench.promote("--force", "false")
    assert done.exit_code == 1 and aliases() == {"champion": "1"}
    told = comparison(last_run())
    verdicts = {line["name"]: line["verdict"] for line in told["lines"][:4]}
    assert verdicts == {"AP50": "better", "helmet": "better", "hat": "worse", "bare": "better"}


def test_mistakes_are_told_and_open_no_run(bench, tracking, tmp_path):
    bench.register("all", "others")
    MlflowClient().set_registered_model_alias(NAME, "champion", "1")
    (tmp_path / "few.txt").write_text(f"{bench.list.parent / '0.png'} 1,1,9,9,0\n")
    (tmp_path / "classes.txt").write_text("helmet\nhat\n")
    mistakes = {
        "no registered model 'nobody'": ("--name", "nobody"),
        "no version '7' of 'my detector'": ("--challenger", "7"),
        "Invalid value for '--tolerance': nan is not a finite number": ("--tolerance", "nan"),
        "finds hat, helmet, bare, the champion, version 1, helmet, hat, bare: expected": (),
    }
    for message, words in mistakes.items():
        _told(bench.promote(*words), message)
    MlflowClient().delete_registered_model_alias(NAME, "champion")
    mistakes = {
        "the annotation list does not exist": ("--annotation-path", "nowhere.txt"),
        "few.txt: has 1 boxes in 1 pictures, too few": ("--annotation-path", tmp_path / "few.txt"),
        "expected helmet, hat, bare": ("--classes-path", tmp_path / "classes.txt"),
    }
    for message, words in mistakes.items():
        _told(bench.promote("--challenger", "1", *words), message)
    MlflowClient().create_model_version(NAME, str(tmp_path / "gone"))
    _told(bench.promote(), f"'models:/{NAME}/3' is not an MLflow model")
    assert not MlflowClient().search_runs(["0"])


def _told(done, message):
    assert (done.exit_code, "Traceback" in done.output) == (2, False), done.output
    assert message in done.output


def test_pictures_that_a_training_had_are_counted(at_trained, scenes):
    mlflow.register_model(f"runs:/{at_trained.run_id}/{FINAL_MODEL}", "seen")
    version = Registry("seen").find("")
    for listed, count in ((scenes.train, 8), (scenes.val, 0), (scenes.every, 8)):
        pictures, _ = read_annotations(listed, NAMES, PROJECT)
        assert _pictures_seen(version, pictures) == count
    with mlflow.start_run() as run:
        pass
    assert _pictures_seen(replace(version, run_id=run.info.run_id), pictures) is None
    assert _pictures_seen(replace(version, run_id=None), pictures) is None
