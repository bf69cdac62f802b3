import json
import shutil
import sqlite3
from contextlib import closing, nullcontext
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import keras
import mlflow.keras
import mlflow.pyfunc
import numpy as np
import pytest
from click.testing import CliRunner
from job_cases import PROJECT, as_arguments, fail_training, run_training, tiny_options
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from PIL import Image

import train
from yolo3.data.images import read_image
from yolo3.detector.keras_engine import KerasEngine
from yolo3.detector.load import load_detector
from yolo3.detector.openvino_engine import OpenVINOEngine
from yolo3.network.model import output_layers
from yolo3.network.weights import read_weights
from yolo3.tracking import train as job
from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL
from yolo3.tracking.train import Settings
from yolo3.training.precision import choose_precision
from yolo3.training.recipe import choose_epochs

COMPONENTS = ("loss", "box_loss", "objectness_loss", "class_loss")
EPOCHS = 3  # of the shared training: one frozen, two of fine-tuning


def test_there_is_one_run_and_it_ended_well(trained):
    assert trained.runs == (trained.run_id,)
    assert trained.run.info.status == "FINISHED"


def test_every_parameter_is_recorded_with_its_type(trained):
    values = trained.json("parameters.json")
    assert list(values) == [field.name for field in fields(Settings)]
    for field in fields(Settings):
        assert isinstance(values[field.name], field.type)
        assert trained.run.data.params[field.name] == str(values[field.name])
    assert values | trained.options == values
    given = train.main.make_context("train.py", as_arguments(trained.options)).params
    assert given.pop("resume") == ""
    classes = Path(trained.options["annotation_path"]).with_name("classes.txt")
    assert (given.pop("classes_path"), given.pop("anchors_path")) == ("auto", "auto")
    chosen = {"classes_path": str(classes), "anchors_path": "model_data/yolo_tiny_anchors.txt"}
    assert given | chosen == values


def test_the_data_are_inputs_with_digest_and_counts(trained, scenes):
    inputs = trained.run.inputs.dataset_inputs
    assert len(inputs) == 2
    for given, context, path, count in zip(
        inputs, ("training", "validation"), (scenes.train, scenes.val), (8, 4), strict=True
    ):
        profile = json.loads(given.dataset.profile)
        tags = {tag.key: tag.value for tag in given.tags}
        assert tags["mlflow.data.context"] == context
        assert json.loads(given.dataset.source)["uri"] == str(path)
        assert profile["pictures"] == count and profile["sha256"].startswith(given.dataset.digest)
        counts = profile["boxes_per_class"]
        assert list(counts) == ["helmet", "hat", "bare"] and sum(counts.values()) > 5
        assert {name: int(tags[f"boxes.{name}"]) for name in counts} == counts
        lines = trained.local(f"pictures/{context}.txt").read_text("utf-8").splitlines()
        assert len(lines) == count and lines[0].endswith(f"{path}:1")


def test_the_lock_and_the_networks_shape_are_kept(trained):
    lock = (PROJECT / "requirements.txt").read_bytes()
    assert trained.local("requirements.txt").read_bytes() == lock
    assert trained.json("network.json")["input_wh"] == [96, 64]


def test_epochs_share_one_axis_of_steps(trained):
    per_epoch = [*COMPONENTS, *(f"val_{name}" for name in COMPONENTS)]
    for name in [*per_epoch, "learning_rate", "val_AP50", "val_AP", "images_per_second"]:
        history = trained.history(name)
        assert [step for step, _ in history] == [1, 2, 3], name
        assert np.isfinite([value for _, value in history]).all(), name
    for prefix in ("", "val_"):
        parts = [dict(trained.history(f"{prefix}{name}")) for name in COMPONENTS]
        for step in (1, 2, 3):
            total, *components = (part[step] for part in parts)
            assert total == pytest.approx(sum(components), rel=1e-5)
    saved = trained.json("history.json")
    assert [numbers["val_loss"] for numbers in saved] == [v for _, v in trained.history("val_loss")]


def test_each_stage_leaves_its_final_numbers(trained):
    val_loss = [value for _, value in trained.history("val_loss")]
    assert trained.history("frozen_loss") == [(1, pytest.approx(val_loss[0], rel=1e-6))]
    [(step, loss)] = trained.history("finetune_loss")
    assert step == EPOCHS and loss == pytest.approx(val_loss[-1], rel=1e-6)
    for name in ("AP", "AP50", "AP75", "AR", "AP50_helmet", "AP50_hat", "best_f1_threshold"):
        assert [step for step, _ in trained.history(f"frozen_{name}")] == [1]
        assert [step for step, _ in trained.history(name)] == [EPOCHS]
    for prefix in ("frozen_", ""):
        assert trained.metrics[f"{prefix}parity_pictures"] == 4
        assert 0 <= trained.metrics[f"{prefix}parity_box_pixels"] < 10
        assert 0 <= trained.metrics[f"{prefix}parity_score"] < 0.1
    report = trained.json("evaluation/finetune/evaluation.json")["metrics"]
    assert report == {name: trained.metrics[name] for name in report}


def test_the_runs_page_says_how_good_it_is_and_how_to_use_it(trained):
    note = trained.run.data.tags["mlflow.note.content"]
    for prefix, name in (("frozen_", FROZEN_MODEL), ("", FINAL_MODEL)):
        found = (f"{trained.metrics[prefix + key]:.3f}" for key in ("AP50", "AP"))
        assert f"| `{name}` | {' | '.join(found)} |" in note
    assert f"helmet {trained.metrics['AP50_helmet']:.3f}" in note
    assert f"--model runs:/{trained.run_id}/{FINAL_MODEL} " in note
    assert "the 4 validation images" in note
    assert trained.files("evaluation/finetune/gallery")


def test_the_machine_is_watched(trained):
    assert trained.metrics["system/cpu_utilization_percentage"] > 0
    assert trained.metrics["system/system_memory_usage_megabytes"] > 100


def test_figures_and_gallery_are_pictures(trained):
    names = ["precision_recall", "f1_threshold", "confusion_matrix", "class_ap50"]
    expected = ["figures/training.png"]
    for stage in ("frozen", "finetune"):
        expected += [f"evaluation/{stage}/figures/{name}.png" for name in names]
        expected.append(f"evaluation/{stage}/gallery/page_01.jpg")
        assert len(trained.files(f"evaluation/{stage}/gallery/worst")) == 4
    assert set(expected) <= set(trained.files())
    for name in expected:
        with Image.open(trained.local(name)) as image:
            assert min(image.size) > 100


@pytest.mark.parametrize(("name", "prefix"), [(FROZEN_MODEL, "frozen_"), (FINAL_MODEL, "")])
def test_the_page_of_a_model_has_its_own_metrics_and_data(trained, name, prefix):
    """Not those of the last epoch's step, whose weights may not be the ones that were kept."""
    stage = prefix.removesuffix("_") or "finetune"
    [model] = [m for m in trained.client.search_logged_models(["0"]) if m.name == name]
    metrics = {metric.key: metric for metric in model.metrics}
    expected = trained.json(f"evaluation/{stage}/evaluation.json")["metrics"]
    assert {f"{prefix}AP50", f"{prefix}AP", f"{stage}_loss"} <= set(metrics)
    for key, value in expected.items():
        assert metrics[f"{prefix}{key}"].value == pytest.approx(value, abs=1e-9), key
    assert not [key for key in metrics if key.startswith(("val_", "system/", "data_", "loss"))]
    validation = trained.run.inputs.dataset_inputs[1].dataset
    for metric in metrics.values():
        given = (metric.dataset_name, metric.dataset_digest)
        assert given == (validation.name, validation.digest), metric.key
    note = model.tags[MLFLOW_RUN_NOTE]
    assert f"--model runs:/{trained.run_id}/{name} " in note and f"`evaluation/{stage}/" in note
    assert f"| `{name}` | {expected['AP50']:.3f} | {expected['AP']:.3f} |" in note


def test_the_last_lines_are_the_command_and_the_link_to_the_run(trained):
    *_, command, link = trained.output.splitlines()
    assert command == f"view the run: mlflow ui --backend-store-uri {trained.store}" or (
        command == "view the run: mlflow ui"
    )
    page = f"#/experiments/0/runs/{trained.run_id}?workflowType=machine_learning"
    assert link == f"then open http://127.0.0.1:5000/{page}"


def test_both_stages_log_a_model_of_two_flavours(trained, scenes, at_trained):
    logged = trained.client.search_logged_models(["0"])
    assert sorted(model.name for model in logged) == sorted([FROZEN_MODEL, FINAL_MODEL])
    pictures = sorted((scenes.folder / "JPEGImages").iterdir())[-4:]
    for model in logged:
        assert (model.source_run_id, model.status) == (trained.run_id, "READY")
        uri = f"runs:/{trained.run_id}/{model.name}"
        network = mlflow.keras.load_model(uri)
        assert network.input_shape == (None, 64, 96, 3)
        assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}
        detector = load_detector(uri)
        assert detector.spec.class_names == ("helmet", "hat", "bare")
        assert isinstance(detector.engine, OpenVINOEngine)
        found = detector.detect([read_image(path) for path in pictures], score_threshold=0.001)
        assert all(len(one) for one in found)
    signature = mlflow.models.get_model_info(f"runs:/{trained.run_id}/{FINAL_MODEL}").signature
    threshold = {param.name: param.default for param in signature.params}["score_threshold"]
    assert threshold == np.clip(trained.metrics["best_f1_threshold"], 0.05, 0.95)


def test_checkpoints_and_tensorboard_lie_under_the_run_id(trained):
    assert {folder.name for folder in trained.log_dir.iterdir()} == {trained.run_id, "features"}
    folder = trained.log_dir / trained.run_id
    for stage in ("frozen", "finetune"):
        assert (folder / f"{stage}.keras").is_file()
        assert list((folder / stage).rglob("events.out.tfevents.*"))


def test_the_first_stage_trains_the_outputs_only(trained, base, at_trained):
    start = read_weights(base)
    for name, body_stays in ((FROZEN_MODEL, True), (FINAL_MODEL, False)):
        network = mlflow.keras.load_model(f"runs:/{trained.run_id}/{name}")
        for layer in start:
            same = all(
                np.array_equal(a, b)
                for a, b in zip(network.get_layer(layer).get_weights(), start[layer], strict=True)
            )
            assert same is body_stays, layer
        assert all(np.abs(layer.get_weights()[1]).max() > 0 for layer in output_layers(network))


def test_a_person_can_read_how_it_goes(trained):
    lines = trained.output.splitlines()
    assert lines[0].startswith("training: 8 pictures, boxes: ") and "helmet" in lines[0]
    assert lines[1].startswith("validation: 4 pictures, boxes: ")
    assert any("filled 22 layers" in line for line in lines)
    assert [line for line in lines if line.startswith("finetune: needs about ")]
    for start in ("frozen 1/1  loss ", "finetune 1/2  loss ", "finetune 2/2  loss "):
        [line] = [line for line in lines if line.startswith(start)]
        assert "val loss" in line and "val AP50" in line and line.endswith("images/s")
    assert f"--model runs:/{trained.run_id}/{FINAL_MODEL}" in lines[-3]


@pytest.fixture
def plan(scenes, tmp_path, monkeypatch):
    """Give a function that prepares a training of given settings and stops before it trains."""
    plans = []

    class Plan(job.Job):
        def begin(self, spec, frozen):
            super().begin(spec, frozen)
            train = self._seen.train
            self.network, self.batches, self.stages, self.names = self._network, train, [], []
            self.registered = []
            plans.append(self)

        def run_stage(self, stage, prefix, model_name):
            self.stages.append(stage)
            self.names.append(model_name)

        def _record_result(self, boundary):
            pass

    monkeypatch.setattr(job, "Job", Plan)
    register = "yolo3.tracking.job.register_once"
    monkeypatch.setattr(register, lambda *names: plans[-1].registered.append(names))
    monkeypatch.setattr(job, "_record_start", lambda *_: None)
    monkeypatch.setattr(job, "remove_checkpoints", lambda _: None)
    no_run = SimpleNamespace(info=SimpleNamespace(run_id="no-run", experiment_id="0"))
    monkeypatch.setattr(job.record, "open_run", lambda _: nullcontext(no_run))

    def prepare(**changes):
        options = tiny_options(scenes, tmp_path / "logs") | changes
        train.main.main(as_arguments(options), standalone_mode=False)
        return plans.pop()

    return prepare


def paths(pictures):
    return [picture.path.name for picture in pictures]


def read(scenes, **changes):
    options = tiny_options(scenes, "logs") | changes
    values = train.main.make_context("", as_arguments(options)).params
    settings = Settings(**{n: v for n, v in values.items() if n != "resume"})
    return job.read_data(settings)


def test_lists_choose_the_pictures(scenes):
    given = read(scenes)
    assert (len(given.train), len(given.val)) == (8, 4)
    swapped = read(scenes, annotation_path=scenes.val, val_annotation_path=scenes.train)
    assert paths(swapped.train) == paths(given.val) and paths(swapped.val) == paths(given.train)


def test_val_split_and_seed_divide_one_list(scenes):
    one_list = {"annotation_path": scenes.every, "val_annotation_path": ""}
    for part, count in ((0, 1), (0.1, 1), (0.25, 3), (0.5, 6)):
        assert len(read(scenes, **one_list, val_split=part).val) == count
    sides = [paths(read(scenes, **one_list, val_split=0.25, seed=s).val) for s in (1, 1, 2, 3, 4)]
    assert sides[0] == sides[1] and len({tuple(side) for side in sides}) > 1


def test_classes_and_anchors_and_size_shape_the_network(plan, tmp_path):
    plain = plan()
    assert (plain.network.name, plain.spec.input_wh) == ("yolov3_tiny", (96, 64))
    (tmp_path / "classes.txt").write_text("one\ntwo\nthree\nfour\n")
    anchors = "8,8, 16,16, 20,20, 24,40, 48,32, 60,60"
    (tmp_path / "anchors.txt").write_text(anchors)
    other = plan(
        classes_path=tmp_path / "classes.txt",
        anchors_path=tmp_path / "anchors.txt",
        input_size=64,
    )
    assert other.spec.class_names == ("one", "two", "three", "four")
    assert other.spec.anchors_wh[0] == (8, 8) and other.network.input_shape[1:3] == (64, 64)
    assert [output.shape[-1] for output in other.network.outputs] == [27, 27]
    nine = plan(anchors_path="model_data/yolo_anchors.txt", input_size=32)
    assert nine.network.name == "yolov3" and len(nine.network.outputs) == 3


def test_numbers_reach_the_stages(plan):
    planned = plan(initial_lr=0.02, frozen_epochs=3, fine_tune_epochs=5, batch_size=3)
    assert [stage.name for stage in planned.stages] == ["frozen", "finetune"]
    assert [stage.epochs for stage in planned.stages] == [3, 5]
    assert [stage.learning_rate for stage in planned.stages] == pytest.approx([0.02, 0.006])
    assert len(planned.batches) == 3 and planned.batches[0][0].shape == (3, 64, 96, 3)


def test_what_is_left_to_the_recipe_is_chosen(plan, base, tmp_path):
    free = {"initial_lr": "auto", "fine_tune_epochs": "auto"}
    planned = plan(**free)  # random outputs, seven training images
    assert [stage.learning_rate for stage in planned.stages] == pytest.approx([3e-3, 9e-4])
    assert planned.stages[1].epochs == choose_epochs(7, is_sample=False)
    whole = plan(weights_path=base).network
    whole.save(tmp_path / "whole.keras")
    planned = plan(weights_path=tmp_path / "whole.keras", **free)
    assert [stage.learning_rate for stage in planned.stages] == pytest.approx([1e-3, 3e-4])


def test_freeze_chooses_what_the_first_stage_keeps(plan, base, capsys):
    weights = plan().network.weights
    assert not plan(weights_path="none", freeze="body").stages[0].frozen
    assert "random weights, nothing is frozen" in capsys.readouterr().out
    body = plan(weights_path=base, freeze="body")
    outputs = {"output_32", "output_16"}
    own = {layer.name for layer in body.network.layers if layer.weights}
    assert body.stages[0].frozen == own - outputs and not body.stages[1].frozen
    assert plan(weights_path=base, freeze="backbone").stages[0].frozen == own - outputs
    assert not plan(weights_path=base, freeze="none").stages[0].frozen
    first = body.network.weights[0]
    assert np.array_equal(first, read_weights(base)["conv_1"][0])
    assert not np.array_equal(first, weights[0])


def test_backbone_is_what_the_file_filled(plan, tmp_path):
    network = plan().network
    features = network.get_layer("conv_5_leaky").output
    keras.Model(network.input, features).save(tmp_path / "five.keras")
    kept = plan(weights_path=tmp_path / "five.keras", freeze="backbone").stages[0].frozen
    assert {name for name in kept if not name.endswith("_bn")} == {f"conv_{n}" for n in range(1, 6)}


def test_seed_decides_weights_and_batches(plan):
    first, again, other = plan(seed=3), plan(seed=3), plan(seed=4)
    for a, b in zip(first.network.weights, again.network.weights, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first.network.weights[0], other.network.weights[0])
    assert np.array_equal(first.batches[0][0], again.batches[0][0])
    assert not np.array_equal(first.batches[0][0], other.batches[0][0])


def test_precision_is_the_networks(plan):
    assert plan().network.get_layer("conv_3").compute_dtype == "float32"
    fast = plan(precision="mixed_bfloat16").network
    assert fast.get_layer("conv_3").compute_dtype == "bfloat16"
    assert all(str(output.dtype) == "float32" for output in fast.outputs)


def test_auto_is_recorded_as_what_it_came_to(plan):
    planned = plan(precision="auto")
    expected = choose_precision("auto")
    assert planned.settings.precision == expected != "auto"
    assert planned.network.get_layer("conv_3").dtype_policy.name == expected


def test_features_of_frozen_layers_are_kept_unless_they_get_no_room(trained, alone):
    kept = [place for place in (trained.log_dir / "features").iterdir() if place.is_dir()]
    assert len(kept) == 2 and "learns from features of the frozen layers" in trained.output
    assert "features" not in alone[1].output  # nothing was frozen


def test_room_for_features_is_what_the_user_gave(plan):
    assert [plan(cache_gb=given)._limit for given in (0, 0.5)] == [0, 5e8]


def test_log_dir_and_registered_name(plan, tmp_path):
    planned = plan(log_dir=tmp_path / "elsewhere", registered_model_name="figures")
    assert planned.folder == tmp_path / "elsewhere" / "no-run"
    assert planned.names == [FROZEN_MODEL, FINAL_MODEL]
    assert planned.registered == [(FINAL_MODEL, "figures")]
    assert not plan().registered


def test_train_py_alone_skips_a_stage_and_logs_float32(alone, clone):
    """Without epochs the first stage is still evaluated and logged; bfloat16 trains the second."""
    trained = alone[1]
    assert trained.run.info.status == "FINISHED"
    assert trained.run.data.tags["mlflow.source.git.commit"] == clone[1]
    assert [step for step, _ in trained.history("loss")] == [1]
    assert [step for step, _ in trained.history("frozen_loss")] == [0]
    assert {"frozen_AP50", "AP50"} <= set(trained.metrics)
    assert not any("parity" in name for name in trained.metrics)  # Keras is the engine
    models = trained.client.search_logged_models([trained.run.info.experiment_id])
    assert {model.name for model in models} == {FROZEN_MODEL, FINAL_MODEL}
    for model in models:
        network = mlflow.keras.load_model(model.artifact_location)
        assert {layer.compute_dtype for layer in network.layers} == {"float32"}
        assert all(str(output.dtype) == "float32" for output in network.outputs)
        assert isinstance(load_detector(model.artifact_location).engine, KerasEngine)
    [version] = trained.client.search_model_versions("name='figures'")
    assert version.run_id == trained.run_id
    assert version.description == trained.run.data.tags[MLFLOW_RUN_NOTE]


def test_mistakes_are_told_before_a_run_is_opened(scenes, base, tracking, tmp_path):
    bad = scenes.folder / "bad.txt"
    bad.write_text("JPEGImages/000001.jpg 1,2,3\nnowhere.jpg\nJPEGImages/000002.jpg 1,1,9,9,7\n")
    (tmp_path / "list.txt").write_text("")
    (tmp_path / "text.keras").write_text("no weights")
    mistakes = {
        "3 problems in the data": {"annotation_path": bad},
        f"{bad}:1: box 1 has 3 numbers, expected 5": {"annotation_path": bad},
        "4 problems in the data": {
            "annotation_path": bad,
            "val_annotation_path": tmp_path / "list.txt",
        },
        "list.txt: lists no pictures": {
            "annotation_path": tmp_path / "list.txt",
            "classes_path": scenes.folder / "classes.txt",
        },
        "would name the classes of this list": {"annotation_path": tmp_path / "list.txt"},
        "does not exist": {"annotation_path": "nowhere.txt"},
        "is a training picture too": {"val_annotation_path": scenes.train},
        "classes file does not exist": {"classes_path": "nowhere.txt"},
        "cannot read the anchors": {"anchors_path": "nowhere.txt"},
        "no such file; weights_path=none": {"weights_path": "nowhere.keras"},
        "Keras cannot load it": {"weights_path": tmp_path / "text.keras"},
        "expected a .keras file": {"weights_path": scenes.every},
        "must be a multiple of 32, got '100'": {"input_size": "100"},
        "must be a number or WxH, got 'big'": {"input_size": "big"},
        "finetune needs about": {"batch_size": 10**7},
        "registered_model_name is 'team/figures'": {"registered_model_name": "team/figures"},
        "does not fit this network (yolov3)": {
            "anchors_path": "model_data/yolo_anchors.txt",
            "weights_path": base,
            "input_size": 32,
        },
    }
    for message, changes in mistakes.items():
        output = fail_training(tiny_options(scenes, tmp_path / "logs") | changes)
        assert message in output
        assert "Error: " in output
    assert not mlflow.MlflowClient().search_runs(["0"]) and not (tmp_path / "logs").exists()


@pytest.mark.slow
def test_a_registry_that_refuses_leaves_a_whole_run_to_go_on_with(
    scenes, tracking, empty_store, tmp_path, monkeypatch
):
    refusing = tmp_path / "refusing.db"
    shutil.copy(empty_store, refusing)
    with closing(sqlite3.connect(refusing)) as store:
        store.execute(
            "CREATE TRIGGER full BEFORE INSERT ON registered_models"
            " BEGIN SELECT RAISE(ABORT, 'no more models'); END"
        )
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{refusing}")
    options = tiny_options(scenes, tmp_path / "logs", frozen_epochs=0, engine="keras")
    output = fail_training(options | {"registered_model_name": "figures"})
    assert "only the model is not registered as 'figures': " in output
    [run] = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED" and "AP50" in run.data.metrics
    assert MLFLOW_RUN_NOTE in run.data.tags
    assert f"mlflow run . -P resume={run.info.run_id}" in output

    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    mlflow.set_registry_uri(None)
    run_training({"resume": run.info.run_id})
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    [version] = mlflow.MlflowClient().search_model_versions("name='figures'")
    assert version.run_id == run.info.run_id


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("val_split", 1),
        ("val_split", -0.1),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("frozen_epochs", -1),
        ("initial_lr", 0),
        ("initial_lr", "nan"),
        ("cache_gb", "inf"),
        ("seed", -1),
        ("seed", 2**32),
        ("freeze", "everything"),
        ("precision", "float8"),
    ],
)
def test_values_out_of_range_are_misuse(option, value):
    done = CliRunner().invoke(train.main, as_arguments({option: value}))
    assert done.exit_code == 2
    assert f"Invalid value for '--{option.replace('_', '-')}'" in done.output
