"""What is around a training fails; `docs/faults.md` lists what happens then."""

import os
import subprocess
import sys

import mlflow
import pytest
from job_cases import PROJECT, as_arguments, fail_training, tiny_options
from server_cases import environment

TRAIN = [sys.executable, str(PROJECT / "train.py")]


def test_a_folder_that_cannot_be_written_is_told_before_the_run(scenes, tracking, tmp_path):
    (tmp_path / "file").write_text("in the way")
    output = fail_training(tiny_options(scenes, tmp_path / "file" / "logs"))
    assert "log_dir: " in output and "cannot be written" in output and "-P log_dir=" in output
    assert not mlflow.MlflowClient().search_runs(["0"])


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a folder")
@pytest.mark.parametrize(
    ("log_dir", "told"),
    [
        ("logs", "log_dir: logs cannot be written (Read-only file system)"),
        ("/tmp", "mlflow.db cannot be written (Read-only file system); choose another, as with"),
    ],
)
def test_a_project_folder_that_is_read_only(scenes, tmp_path, log_dir, told):
    """Mounted read-only in a namespace that ends with the process."""
    folder = tmp_path / "project"
    folder.mkdir()
    mounts = f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mounts} && cd "{folder}" && exec "$@"', "sh"]
        + [*TRAIN, *as_arguments(tiny_options(scenes, log_dir))],
        env=environment(PYTHONPATH=str(PROJECT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    if "ermission" in done.stderr or "must be superuser" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 1 and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_trainings_in_one_folder_at_once(scenes, tmp_path):
    """In a new folder: both begin by making the same database."""
    options = tiny_options(scenes, tmp_path / "logs", frozen_epochs=0)
    both = [
        subprocess.Popen(
            [*TRAIN, *as_arguments(options)],
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(PROJECT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs(["0"])
    assert len(runs) == 2 and {run.info.status for run in runs} == {"FINISHED"}
    losses = [
        [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")]
        for run in runs
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 1
    assert len(list((tmp_path / "logs").iterdir())) == 2
