import json

import mlflow.keras
import pytest
from job_cases import PROJECT

from yolo3.network.weights import weights_digest
from yolo3.tracking import provenance
from yolo3.tracking.job import FINAL_MODEL, FROZEN_MODEL
from yolo3.tracking.machine import VARIABLES
from yolo3.tracking.reproduce.inputs import file_digest


def test_machine_threads_and_versions_are_recorded(trained):
    told = trained.json("environment.json")
    assert told["threads"]["intra_op"] >= 1 and told["processor"]["name"]
    assert told["packages"]["tensorflow"].startswith("2.")
    assert set(told["variables"]) <= set(VARIABLES)


def test_a_run_that_goes_on_finds_its_threads(trained, at_trained):
    threads = trained.json("environment.json")["threads"]["intra_op"]
    assert provenance.recorded_threads(trained.run_id) == threads
    run_id = trained.client.create_run("0").info.run_id
    assert provenance.recorded_threads(run_id) == 0
    trained.client.delete_run(run_id)


def test_the_code_is_recorded_as_it_was_trained_with(alone, clone):
    """The commit, the diff and the new module; and nothing of .env."""
    folder, trained = alone
    source = trained.json("source/source.json")
    assert (source["commit"], source["dirty"]) == (clone[1], True)
    assert trained.run.data.tags["source.dirty"] == "true"
    assert list(source["untracked"]) == ["yolo3/training/own.py"]
    new = trained.local("source/untracked/yolo3/training/own.py").read_text("utf-8")
    assert new == "DECAY = 0.1\n"
    patch = trained.local("source/diff.patch").read_text("utf-8")
    assert "import DECAY as WEIGHT_DECAY" in patch
    assert source["left_out"] == {".env": "untracked, and no code of the project"}
    recorded = folder.parent / "artifacts"
    assert not [f for f in recorded.rglob("*") if f.is_file() and b"hunter2" in f.read_bytes()]


def test_the_input_files_are_told_and_the_small_ones_kept(trained, scenes, base):
    told = trained.json("inputs/inputs.json")
    assert told["annotation_path"] == {
        "given": str(scenes.train),
        "path": str(scenes.train),
        "sha256": file_digest(scenes.train),
    }
    assert told["weights_path"]["sha256"] == file_digest(base)
    assert told["weights_path"]["sha256"] == trained.json("weights.json")["sha256"]
    for name, file in (("classes", "yolo_custom_classes"), ("anchors", "yolo_tiny_anchors")):
        own = PROJECT / f"model_data/{file}.txt"
        assert trained.local(f"inputs/{name}.txt").read_bytes() == own.read_bytes()
        assert told[f"{name}_path"]["sha256"] == file_digest(own)


def test_each_stage_leaves_the_digest_of_the_weights_that_its_model_has(trained, at_trained):
    tags, result = trained.run.data.tags, trained.json("result.json")
    for stage, model in (("frozen", FROZEN_MODEL), ("finetune", FINAL_MODEL)):
        digest = tags[f"weights_sha256.{stage}"]
        network = mlflow.keras.load_model(f"runs:/{trained.run_id}/{model}")
        assert weights_digest(network) == digest == result["weights_sha256"][stage]
        assert f"{stage}: weights sha256 {digest}" in trained.output
    assert len(set(result["weights_sha256"].values())) == 2


def test_the_result_has_the_final_metrics(trained):
    told = trained.json("result.json")["metrics"]
    assert {"AP50", "frozen_AP50", "finetune_loss", "frozen_loss"} <= set(told)
    assert told == {name: trained.metrics[name] for name in told}


@pytest.mark.parametrize("kind", ["training", "validation"])
def test_pictures_are_told_with_digests_of_content_and_boxes(trained, kind):
    lines = trained.local(f"pictures/{kind}.txt").read_text("utf-8").splitlines()
    words = [line.split(" ", 2) for line in lines]
    assert all(len(content) == len(boxes) == 64 for content, boxes, _ in words)
    assert len({content for content, _, _ in words}) == len(words)
    profile = json.loads(
        next(
            given.dataset.profile
            for given in trained.run.inputs.dataset_inputs
            if kind in [tag.value for tag in given.tags]
        )
    )
    assert profile["pictures"] == len(words)
