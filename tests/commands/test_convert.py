import base64
import json

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from darknet_cases import NETWORKS, SHARED, conv, output, write_network
from detector_cases import file_bytes, make_photo

from yolo3.commands import convert as command
from yolo3.commands.main import main
from yolo3.detector.load import load_detector
from yolo3.network.spec import make_spec
from yolo3.tracking.download import Official

LAYERS = [*NETWORKS["two scales"], *output()]


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def convert(*words):
    done = call("convert", *words)
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def files(tmp_path):
    cfg, weights, _ = write_network(tmp_path, LAYERS)
    names = tmp_path / "my.names"
    names.write_text("hat\ntête nue\n", "utf-8")
    return cfg, weights, names


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A converted model, what the command said, and Darknet's files."""
    folder = tmp_path_factory.mktemp("convert") / "my networks"
    folder.mkdir()
    cfg, weights, _ = write_network(folder, LAYERS)
    (folder / "my.names").write_text("hat\ntête nue\n", "utf-8")
    words = ("--cfg", cfg, "--weights", weights, "--classes-path", folder / "my.names")
    done = convert(*words, "--output", folder / "model")
    assert done.exit_code == 0, done.output
    return folder / "model", done.output, weights


def test_a_cfg_becomes_a_model_and_all_is_told(model):
    folder, told, weights = model
    assert f"{weights}: filled 10 layers (" in told and "left as they were none" in told
    assert "32x16, 2 classes, anchors 1,2 at stride 4, anchors 0,1 at stride 2" in told
    detector = load_detector(folder)
    assert detector.spec.class_names == ("hat", "tête nue")
    assert detector.spec.mask == ((1, 2), (0, 1)) and detector.spec.strides == (4, 2)
    story = yaml.safe_load((folder / "MLmodel").read_text())["metadata"]["converted_from"]
    assert story["cfg"] == "net.cfg" and story["loaded"].startswith("filled 10 layers")
    assert len(story["weights_sha256"]) == 64
    for file in folder.rglob("*"):
        if file.is_file():
            assert str(folder.parent) not in file.read_bytes().decode("latin-1")


def test_detect_mlflow_and_evaluate_load_it(model, tmp_path, tracking):
    folder, _, _ = model
    photo = make_photo(1, (90, 60))
    (tmp_path / "a.png").write_bytes(file_bytes(photo))
    done = call(
        *("detect", "--model", folder, "--input", tmp_path / "a.png", "--output", tmp_path / "o"),
        *("--score-threshold", 0.001),
    )
    assert done.exit_code == 0, done.output
    [row] = json.loads((tmp_path / "o" / "detections.json").read_text("utf-8"))
    assert row["detections"] and {found["label"] for found in row["detections"]} <= {
        *("hat", "tête nue")
    }
    served = mlflow.pyfunc.load_model(str(folder))
    text = base64.b64encode(file_bytes(photo)).decode()
    table = served.predict(pd.DataFrame({"image": [text]}), params={"score_threshold": 0.001})
    assert len(table["detections"][0]) == len(row["detections"])
    (tmp_path / "list.txt").write_text("a.png 5,5,60,50,1\n")
    done = call("evaluate", "--model", folder, "--annotation-path", tmp_path / "list.txt")
    assert done.exit_code == 0 and "AP50 " in done.output, done.output


def test_the_way_back_gives_the_same_network(model, tmp_path):
    folder, _, weights = model
    done = convert("--model", folder, "--to-darknet", tmp_path / "back")
    assert done.exit_code == 0 and "6 convolutions" in done.output, done.output
    back = tmp_path / "back"
    assert (back / "yolov3.weights").read_bytes()[20:] == weights.read_bytes()[20:]
    assert (back / "yolov3.names").read_text("utf-8") == "hat\ntête nue\n"
    words = ("--cfg", back / "yolov3.cfg", "--weights", back / "yolov3.weights")
    names = ("--classes-path", back / "yolov3.names")
    done = convert(*words, *names, "--output", tmp_path / "again")
    assert done.exit_code == 0, done.output
    first, again = (load_detector(place) for place in (folder, tmp_path / "again"))
    assert first.spec == again.spec
    photo = [make_photo(2, (90, 60))]
    found, expected = (d.detect(photo, score_threshold=0.001)[0] for d in (first, again))
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)


def test_a_logged_model_is_written_by_its_uri(at_trained, tmp_path):
    uri = f"runs:/{at_trained.run_id}/keras-yolo-model"
    done = convert("--model", uri, "--to-darknet", tmp_path / "tiny")
    assert done.exit_code == 0 and "13 convolutions" in done.output, done.output
    assert "96x64, 3 classes, anchors 3,4,5 at stride 32, anchors 0,1,2" in done.output
    words = ("--cfg", tmp_path / "tiny/yolov3.cfg", "--weights", tmp_path / "tiny/yolov3.weights")
    names = ("--classes-path", tmp_path / "tiny/yolov3.names")
    done = convert(*words, *names, "--output", tmp_path / "again")
    assert done.exit_code == 0, done.output
    photo = [make_photo(2, (90, 60))]
    found, expected = (
        load_detector(model).detect(photo, score_threshold=0.001, max_detections=5)[0]
        for model in (uri, tmp_path / "again")
    )
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_the_bare_network_is_saved_as_keras(files, tmp_path):
    cfg, weights, _ = files
    target = tmp_path / "deep" / "net.keras"
    done = convert("--cfg", cfg, "--weights", weights, "--output", target)
    assert done.exit_code == 0 and "the network alone" in done.output
    network = keras.saving.load_model(target, compile=False, safe_mode=True)
    assert [tuple(output.shape[1:3]) for output in network.outputs] == [(4, 8), (8, 16)]
    done = convert("--cfg", cfg, "--weights", weights, "--output", target)
    assert done.exit_code == 1 and "net.keras exists; give another place" in done.output


def test_partial_files_must_be_declared(files, tmp_path):
    cfg, weights, _ = files
    data = weights.read_bytes()
    first = 20 + 4 * (4 * 4 + 4 * 3 * 9)
    part = tmp_path / "part.weights"
    part.write_bytes(data[:first])
    words = ("--cfg", cfg, "--weights", part, "--output", tmp_path / "part.keras")
    done = convert(*words)
    assert done.exit_code == 1 and "ends before conv_2" in done.output
    assert not (tmp_path / "part.keras").exists()
    done = convert(*words, "--partial")
    assert done.exit_code == 0 and "filled 2 layers (124 parameters)" in done.output
    assert "left as they were 8 layers" in done.output and "conv_2, conv_2_bn" in done.output
    part.rename(tmp_path / "net.conv.1")
    words = ("--cfg", cfg, "--weights", tmp_path / "net.conv.1", "--output", tmp_path / "b.keras")
    assert convert(*words).exit_code == 0
    weights.write_bytes(data + b"\0" * 8)
    words = ("--cfg", cfg, "--weights", weights, "--output", tmp_path / "c.keras")
    done = convert(*words)
    assert done.exit_code == 1 and "holds 8 bytes more than the 6 convolutions" in done.output
    done = convert(*words, "--partial")
    assert done.exit_code == 0 and "left out 8 bytes after the last layer" in done.output


def test_mistakes_are_told(files, model, tmp_path):
    cfg, weights, names = files
    names.write_text("hat\n")
    (tmp_path / "mish.cfg").write_text(cfg.read_text().replace("leaky", "mish", 1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "yolov3.names").touch()
    output = ("--output", tmp_path / "out")
    mistakes = {
        "[yolo] has classes=2, got 1 names": (
            *("--cfg", cfg, "--weights", weights, "--classes-path", names),
            *output,
        ),
        "activation=mish, expected leaky or linear": (
            *("--cfg", tmp_path / "mish.cfg", "--weights", weights),
            *output,
        ),
        "is no text, expected a Darknet cfg": ("--cfg", weights, "--weights", weights, *output),
        "is no Darknet weights file": ("--cfg", cfg, "--weights", cfg, *output),
        "full exists; give another place": (
            *("--cfg", cfg, "--weights", weights, "--output", tmp_path / "full"),
        ),
        "no model at 'nowhere'": ("--model", "nowhere", "--to-darknet", tmp_path / "out"),
        "yolov3.names exists; give": ("--model", model[0], "--to-darknet", tmp_path / "full"),
    }
    for message, words in mistakes.items():
        done = convert(*words)
        assert done.exit_code == 1 and message in done.output, done.output
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--cfg", "net.cfg", "--weights", "net.weights"),
        ("--cfg", "net.cfg", "--output", "out"),
        ("--model", "m"),
        ("--to-darknet", "out"),
        ("--model", "m", "--to-darknet", "out", "--partial"),
        ("--model", "m", "--to-darknet", "out", "--cfg", "net.cfg"),
        ("--cfg", "net.cfg", "--weights", "net.weights", "--output", "out", "--model", "m"),
    ],
)
def test_options_of_the_two_ways_do_not_mix(files, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    done = convert(*words)
    assert done.exit_code == 2
    assert "expected --cfg, --weights and --output, or --model and --to-darknet" in done.output


def test_missing_files_are_told(files, tmp_path):
    done = convert("--cfg", tmp_path / "no.cfg", "--weights", files[1], "--output", tmp_path / "o")
    assert done.exit_code == 2 and "no.cfg' does not exist" in done.output


def test_published_tiny_weights_keep_the_mask_that_they_were_trained_with(monkeypatch):
    six = [(n, n) for n in range(1, 7)]
    official = Official("yolov3-tiny.weights", 1, "its sha256")
    monkeypatch.setitem(command.OFFICIAL, "yolov3-tiny", official)
    tiny = make_spec(["a"], six, (64, 64))
    full = make_spec(["a"], [*six, (7, 7), (8, 8), (9, 9)], (64, 64))
    assert command._with_trained_mask(tiny, "its sha256").mask == ((3, 4, 5), (1, 2, 3))
    assert command._with_trained_mask(tiny, "another") == tiny
    assert command._with_trained_mask(full, "its sha256") == full


def test_one_scale_and_no_names_will_do(tmp_path):
    cfg, weights, _ = write_network(tmp_path, [conv(stride=2), *output("2")])
    done = convert("--cfg", cfg, "--weights", weights, "--output", tmp_path / "model")
    assert done.exit_code == 0, done.output
    detector = load_detector(tmp_path / "model")
    assert detector.spec.class_names == ("class_0", "class_1") and detector.spec.mask == ((2,),)
    [found] = detector.detect([make_photo(1, (50, 30))], score_threshold=0.0, max_detections=7)
    assert len(found) == 7 and np.isfinite(found.boxes_xyxy).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the Darknet files in ../shared/data")
def test_a_trained_network_finds_what_it_was_trained_for(tmp_path):
    folder = SHARED / "aix2022"
    files = [folder / f"yolov3-tiny-aix2022.{suffix}" for suffix in ("cfg", "weights")]
    words = ("--cfg", files[0], "--weights", files[1], "--classes-path", folder / "yolohw.names")
    done = convert(*words, "--output", tmp_path / "model")
    assert done.exit_code == 0 and "filled 20 layers (904,694 parameters)" in done.output
    picture = folder / "images" / "CAPP_testset_close_10000.jpg"
    words = ("--model", tmp_path / "model", "--input", picture, "--output", tmp_path / "found")
    assert call("detect", *words, "--score-threshold", 0.3).exit_code == 0
    [row] = json.loads((tmp_path / "found" / "detections.json").read_text("utf-8"))
    labels = picture.with_suffix(".txt").read_text().split("\n")
    present = {int(line.split()[0]) for line in labels if line}
    found = [one["class_id"] for one in row["detections"]]
    assert len(found) > 2 and set(found) <= present
