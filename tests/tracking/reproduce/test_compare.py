import math
from copy import deepcopy
from dataclasses import replace

import pytest
from reproduce_cases import changed, record_of

from yolo3.tracking.reproduce import report
from yolo3.tracking.reproduce.compare import (
    CLOCK,
    DIFFERS,
    IDENTICAL,
    Circumstance,
    Metric,
    compare,
    compare_metric,
)


@pytest.fixture
def record(trained, tmp_path):
    return record_of(trained, tmp_path / "record")


def test_a_run_is_identical_to_itself(trained, record):
    found = compare(trained.client, record, record, [])
    assert found.verdict == IDENTICAL
    names = [metric.name for metric in found.metrics]
    assert {"loss", "val_AP50", "learning_rate", "AP50", "frozen_loss"} <= set(names)
    assert found.not_compared == ["images_per_second"]
    assert {metric.name: metric.steps for metric in found.metrics}["val_loss"] == 3
    lines = report.lines(found)
    assert lines[1] == f"weights frozen: sha256 {record.digests['frozen']}, the same"
    assert lines[-2:] == ["machine, threads, versions and code: the same", "identical"]
    assert lines[3].startswith(f"metrics: {len(names)} of {len(names)} identical at every step")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({1: 0.5, 2: 0.25}, {1: 0.5, 2: 0.25}, Metric("m", 2, True)),
        ({1: math.nan}, {1: math.nan}, Metric("m", 1, True)),
        (
            {1: 0.5, 2: 0.25, 3: 1.0},
            {1: 0.5, 2: 0.5, 3: 3.0},
            Metric("m", 3, False, 2, 0.25, 0.5, 2),
        ),
        ({1: 0.5}, {1: 0.5, 2: 0.25}, Metric("m", 1, False, 2, None, 0.25, 0.0)),
        ({}, {1: 0.5}, Metric("m", 0, False, 1, None, 0.5)),
    ],
)
def test_metrics_are_compared_at_every_step(old, new, expected):
    assert compare_metric("m", old, new) == expected


def test_the_last_bit_of_a_number_counts():
    value = 0.1
    assert not compare_metric("m", {1: value}, {1: math.nextafter(value, 1)}).identical
    assert not compare_metric("m", {1: math.nan}, {1: value}).identical


@pytest.mark.parametrize(
    ("name", "of_the_machine"),
    [
        ("system/cpu_utilization_percentage", True),
        ("images_per_second", True),
        ("epoch_seconds", True),
        ("loss", False),
        ("AP50_memory", False),
        ("frozen_AP50_seconds", False),
        ("best_f1_threshold", False),
    ],
)
def test_metrics_of_the_machine_are_told_from_those_of_the_training(name, of_the_machine):
    assert bool(CLOCK.fullmatch(name)) is of_the_machine


def tagged(record, **tags):
    run = deepcopy(record.run)
    run.data.tags.update(tags)
    return changed(record, run=run)


def test_other_weights_differ_though_all_metrics_are_the_same(trained, record):
    other = tagged(record, **{"weights_sha256.finetune": "0" * 64})
    found = compare(trained.client, record, other, ["as asked"])
    assert found.verdict == DIFFERS and all(metric.identical for metric in found.metrics)
    lines = report.lines(found)
    assert f"weights finetune: sha256 {record.digests['finetune']}, now {'0' * 64}" in lines
    assert lines[-2:] == ["note: as asked", "differs"]


def test_a_run_without_digests_is_compared_by_its_metrics(trained, record):
    older = tagged(record)
    for stage in record.digests:
        del older.run.data.tags[f"weights_sha256.{stage}"]
    older = changed(older, environment={}, source={})
    found = compare(trained.client, older, record, [])
    assert found.verdict == IDENTICAL
    lines = report.lines(found)
    assert lines[1].startswith("weights frozen: the run recorded no digest; now sha256 ")
    assert "machine, threads and versions: the run recorded none" in lines


def test_what_the_runs_do_not_share_stands_beside(trained, record):
    threads = record.environment["threads"] | {"intra_op": 64}
    packages = record.environment["packages"] | {"keras": "9.9.9"}
    other = changed(record, environment={"threads": threads, "packages": packages})
    found = compare(trained.client, record, other, [])
    assert found.circumstances == [
        Circumstance("threads.intra_op", record.threads, 64),
        Circumstance("packages.keras", record.environment["packages"]["keras"], "9.9.9"),
    ]
    assert f"threads.intra_op: {record.threads}, now 64" in report.lines(found)
    page = report.html(found)
    assert "packages.keras" in page and "9.9.9" in page and "frozen_AP50_helmet" in page


def test_metrics_that_differ_are_told_with_how_far(trained, record):
    """Held against another training: far off everywhere, and told so."""
    metrics = [Metric(f"m{n}", 2, False, 1, 0.5, 0.75, 0.25) for n in range(20)]
    same = compare(trained.client, record, record, [])
    found = replace(same, metrics=[*same.metrics, *metrics])
    lines = report.lines(found)
    assert "  m0: first at step 1: 0.5, now 0.75; at most 0.25 apart" in lines
    assert "  … and 8 more, in reproduction.html" in lines and lines[-1] == "differs"
    told = found.as_dict()
    assert told["verdict"] == "differs" and told["metrics"][-1]["largest"] == 0.25
    assert told["old"]["run_id"] == trained.run_id
    assert report.html(found).index("m19") < report.html(found).index("val_AP50")
