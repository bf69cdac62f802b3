import mlflow
from check_cases import SPEC, labelled

from yolo3.checks.checkup import check_up
from yolo3.data.pictures import FINDINGS
from yolo3.tracking.check import log_check, record_check

HAT, BARE = (20, 20, 60, 60, 0), (120, 100, 161, 140, 1)


def artifacts(run_id):
    return {file.path for file in mlflow.MlflowClient().list_artifacts(run_id)}


def test_a_run_of_its_own_holds_report_counts_and_data(tracking):
    train = [labelled(n, [HAT, BARE]) for n in range(10)]
    checkup = check_up([*train, labelled("x", [HAT, HAT])], [labelled("v", [BARE])], SPEC)
    run_id = record_check(checkup, "my/list.txt", 1, {"seed": "1"})
    run = mlflow.get_run(run_id)
    assert run.info.status == "FINISHED" and run.data.params == {"seed": "1"}
    assert run.data.metrics["data_boxes_repeated"] == 1
    assert run.data.metrics["data_classes_unvalidated"] == 1
    assert {f"data_{kind}" for kind in FINDINGS} <= set(run.data.metrics)
    assert run.data.metrics["anchors_mean_iou"] == checkup.fit.mean_iou
    assert {"check.html", "check.txt"} <= artifacts(run_id)
    told = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/check.txt").splitlines()
    assert told == checkup.lines()


def test_data_without_boxes_have_no_fit_to_log(tracking):
    with mlflow.start_run() as run:
        assert log_check(check_up([labelled("a")], [], SPEC), "list.txt", 1) == {}
    assert mlflow.get_run(run.info.run_id).data.metrics == {}
    assert {"check.html", "check.txt"} == artifacts(run.info.run_id)


def test_a_training_tells_and_logs_its_check(trained):
    assert "anchors at 96x64: mean IoU " in trained.output
    assert {"check.html", "check.txt"} <= set(trained.files())
    metrics = trained.metrics
    assert 0 < metrics["anchors_mean_iou"] < 1 and "data_boxes_colliding" in metrics
    lines = trained.local("check.txt").read_text("utf-8").splitlines()
    told = [line for line in lines if line.endswith("with another, so one is not learnt")]
    count = int(told[0].split()[0]) if told else 0
    assert metrics["data_boxes_colliding"] == count
    assert (f"{count} boxes share a grid cell" in trained.output) == bool(count)
