import mlflow
import pytest

from yolo3.tracking.reproduce.record import ReproduceError, read_record


def test_a_training_is_read_with_its_types(trained, tmp_path):
    record = read_record(trained.client, trained.run_id, tmp_path)
    assert record.parameters == trained.json("parameters.json")
    assert record.threads == trained.json("environment.json")["threads"]["intra_op"]
    assert set(record.digests) == {"frozen", "finetune"}
    assert record.weights["sha256"] and record.inputs["anchors_path"]
    assert (record.folder / "pictures/training.txt").is_file()


def test_parameters_come_from_the_typed_artifact(alone, tmp_path):
    trained = alone[1]
    assert trained.run.data.params["initial_lr"] == "'quoted for a shell'"
    parameters = read_record(trained.client, trained.run_id, tmp_path).parameters
    assert parameters["initial_lr"] == 0.01
    assert parameters["annotation_path"] == trained.options["annotation_path"]


def end(status, **tags):
    client = mlflow.MlflowClient()
    run_id = client.create_run("0", tags=tags).info.run_id
    if status:
        client.set_terminated(run_id, status)
    return run_id


@pytest.mark.parametrize(
    ("status", "tags", "message"),
    [
        (None, {}, "is RUNNING, expected FINISHED: it has no end to compare with"),
        ("FAILED", {}, "is FAILED, expected FINISHED"),
        ("KILLED", {"interrupted": "Ctrl-C"}, r"was interrupted \(Ctrl-C\): it has no end"),
        ("FINISHED", {"resumes": "abc"}, "only went on with run abc: give --run-id that one"),
        ("FINISHED", {}, "has no parameters.json and no requirements.txt: it is no training"),
    ],
)
def test_runs_without_an_end_are_told(tracking, tmp_path, status, tags, message):
    run_id = end(status, **tags)
    with pytest.raises(ReproduceError, match=message):
        read_record(mlflow.MlflowClient(), run_id, tmp_path)


def test_runs_that_are_not_there_are_told(tracking, tmp_path):
    with pytest.raises(ReproduceError, match="is MLFLOW_TRACKING_URI the server that recorded it"):
        read_record(mlflow.MlflowClient(), "0" * 32, tmp_path)
    run_id = end("FINISHED")
    mlflow.MlflowClient().delete_run(run_id)
    with pytest.raises(ReproduceError, match="is deleted"):
        read_record(mlflow.MlflowClient(), run_id, tmp_path)


def test_another_entry_points_run_is_told(tracking, tmp_path):
    run_id = end("FINISHED")
    for name in ("parameters.json", "requirements.txt"):
        mlflow.MlflowClient().log_text(run_id, '{"seed": 1, "weights_path": "none"}', name)
    with pytest.raises(ReproduceError, match="no training of the main entry point.*anchors_path"):
        read_record(mlflow.MlflowClient(), run_id, tmp_path)
