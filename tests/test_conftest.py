"""The suite itself: what its user's environment says reaches no test."""

import os
import socket
import subprocess
import sys

from job_cases import PROJECT

TESTS = (  # of files that broke: a store of the test's own, and a client that is told none
    "tests/tracking/test_check.py::test_data_without_boxes_have_no_fit_to_log",
    "tests/tracking/test_run.py::test_parameters_that_are_there_stay",
    "tests/tracking/test_registry.py::test_a_version_is_tagged",
)


def test_no_test_uses_the_settings_or_the_server_of_its_user():
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        theirs.setblocking(False)
        address = f"http://127.0.0.1:{theirs.getsockname()[1]}"
        settings = {
            "MLFLOW_TRACKING_URI": address,
            "MLFLOW_REGISTRY_URI": address,
            "MLFLOW_EXPERIMENT_NAME": "theirs",
            "MLFLOW_EXPERIMENT_ID": "7",
            "MLFLOW_RUN_ID": "0" * 32,
            "MLFLOW_TRACKING_TOKEN": "a token of theirs",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "1",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "AZURE_SUBSCRIPTION_ID": "theirs",
            "DATABRICKS_HOST": address,
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
            + [*TESTS],
            cwd=PROJECT,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=300,
        )
        try:
            theirs.accept()
            reached = True
        except BlockingIOError:
            reached = False
    assert done.returncode == 0 and f"{len(TESTS)} passed" in done.stdout, done.stdout
    assert not reached
