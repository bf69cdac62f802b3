from dataclasses import replace
from datetime import UTC, datetime

import mlflow
import numpy as np
import pytest
from evaluation_cases import evaluation_on_disk, found
from mlflow import MlflowClient

from yolo3.evaluation.comparison import Measured, Rule, compare
from yolo3.evaluation.evaluate import Evaluation
from yolo3.tracking.promote import _apply
from yolo3.tracking.promotion import Contender, Promotion
from yolo3.tracking.promotion_page import write_promotion_page
from yolo3.tracking.registry import Registry, RegistryError, Version

RULE = Rule(0.01, 0.05, min_boxes=1, latency_factor=1.5, floor=0.05, resamples=100, seed=1)


@pytest.fixture
def evaluation(tmp_path):
    return evaluation_on_disk(tmp_path)


def blind(evaluation):
    """Give an evaluation of the same pictures in which nothing was found."""
    return Evaluation(evaluation.class_names, evaluation.pictures, (found([]),) * 6)


def promotion(challenger, champion=None, force=False, seen=(0, None)):
    new = Measured(challenger, np.array([21.0, 20.0, 22.0]))
    old = Measured(champion, np.array([20.0, 20.0, 20.0])) if champion else None
    sides = [
        Contender(Version("toy & co", number, None, "file:///nowhere"), (96, 64), own)
        for number, own in zip("21", seen, strict=True)
    ]
    return Promotion(
        challenger=sides[0],
        champion=sides[1] if champion else None,
        comparison=compare(new, old, RULE),
        annotation_path="my list.txt",
        sha256="0" * 64,
        force=force,
        machine="a machine",
        run_id="f" * 32,
        time=datetime(2026, 11, 25, 4, 12, tzinfo=UTC),
    )


def test_the_sentence_says_what_was_decided(evaluation):
    nothing = blind(evaluation)
    told = {
        "Promoted: version 2 is champion over version 1. Not worse where it matters.": (
            promotion(evaluation, nothing)
        ),
        "Refused: version 1 stays champion. Version 2: AP50 lost 0.08": (
            promotion(nothing, evaluation)
        ),
        "Forced: version 2 is champion over version 1, although AP50 lost 0.08": (
            promotion(nothing, evaluation, force=True)
        ),
        "Promoted: version 2 is champion. AP50 is 0.08": promotion(evaluation),
        "Refused: there is no champion. Version 2: AP50 is 0.000, a first": promotion(nothing),
        "Forced: version 2 is champion, although AP50 is 0.000": promotion(nothing, force=True),
    }
    for beginning, own in told.items():
        assert own.sentence().startswith(beginning), own.sentence()
        assert own.decision == beginning.split(":")[0].lower()
        assert own.moves == (own.decision != "refused")
    assert promotion(evaluation, evaluation, force=True).decision == "promoted"


def test_the_table_has_a_line_for_each_thing(evaluation):
    head, *lines = promotion(evaluation, evaluation).table()
    assert head.split() == ["champion", "challenger", "change", "95", "%", "interval"]
    assert [line.split()[0] for line in lines] == ["AP50", "helmet", "hat", "AP", "latency"]
    assert "0.000  0.000 to 0.000  not worse" in lines[0] and "-0.000" not in lines[0]
    assert "20.0 ms     21.0 ms" in lines[-1] and "× 1.05" in lines[-1]
    assert "not judged: only " in lines[1]


def test_metrics_are_named_by_who_and_what(evaluation):
    metrics = promotion(evaluation, blind(evaluation), seen=(3, None)).metrics()
    assert {"challenger_AP50", "champion_AP50", "AP50_change", "AP50_change_low"} < set(metrics)
    assert {"challenger_AP50_hat", "AP50_helmet_change_high", "AP_change"} < set(metrics)
    assert metrics["challenger_latency_ms"] == 21 and metrics["latency_ratio"] == 1.05
    assert metrics["challenger_pictures_seen"] == 3 and "champion_pictures_seen" not in metrics
    assert all(np.isfinite(value) for value in metrics.values())
    alone = promotion(evaluation).metrics()
    assert not [name for name in alone if "champion" in name or "change" in name or "ratio" in name]


def test_pictures_that_a_training_had_are_a_caution(evaluation):
    own = promotion(evaluation, evaluation, seen=(4, 2))
    assert own.cautions() == [
        f"The training of version {number} had {count} of the 6 pictures, which flatters it: "
        "compare on pictures that no training had."
        for number, count in (("1", 2), ("2", 4))
    ]
    assert not promotion(evaluation, evaluation, seen=(0, None)).cautions()
    assert own.cautions()[0] in own.run_tags()["mlflow.note.content"]


def test_the_page_shows_both_and_needs_nothing_else(evaluation, tmp_path):
    own = promotion(blind(evaluation), evaluation, force=True, seen=(4, 0))
    text = write_promotion_page(own, tmp_path / "page.html").read_text("utf-8")
    assert "Promotion of toy &amp; co" in text and "toy & co" not in text
    assert own.sentence() in text and own.cautions()[0] in text
    assert "champion, version 1" in text and "challenger, version 2" in text
    assert text.count("<svg class='span'") == 4  # AP50, two classes, latency
    assert "right.png. Champion: all 1 found, IoU 0.97. Challenger: 1 missed." in text
    assert "25 November 2026 04:12 UTC" in text and "a machine" in text
    assert "nan" not in text.replace("name", "") and "src='http" not in text
    assert "both make as many" not in text.lower()


def test_the_page_of_equals_and_of_a_first_champion(evaluation, tmp_path):
    path = tmp_path / "page.html"
    equal = write_promotion_page(promotion(evaluation, evaluation), path).read_text("utf-8")
    assert "Both make as many mistakes on every picture." in equal and "<img" not in equal
    first = write_promotion_page(promotion(evaluation), path).read_text("utf-8")
    assert "There was no champion. The first one needs an AP50 of 0.05." in first
    assert "good enough" in first and "a machine" in first
    assert "<img" not in first and "<svg" not in first and "against" not in first


def test_an_alias_that_moved_meanwhile_leaves_a_tag(evaluation, tracking):
    client = MlflowClient()
    client.create_registered_model("toy & co")
    for _ in range(3):
        client.create_model_version("toy & co", "file:///nowhere")
    client.set_registered_model_alias("toy & co", "champion", "3")
    with pytest.raises(RegistryError, match="version 3 became champion"), mlflow.start_run() as run:
        _apply(Registry("toy & co"), promotion(evaluation, blind(evaluation)))
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FAILED"
    assert found.data.tags["promotion.decision"] == "not moved"
    assert not client.get_model_version("toy & co", "2").tags
    assert client.get_registered_model("toy & co").aliases == {"champion": 3}


def test_tags_are_short_enough_for_every_server(evaluation):
    names = ("a" * 300, "hat")
    long = [replace(own, class_names=names) for own in (blind(evaluation), evaluation)]
    own = promotion(*long)
    tags = {k: v for k, v in {**own.run_tags(), **own.version_tags()}.items() if "note" not in k}
    assert max(len(value) for value in tags.values()) <= 256
