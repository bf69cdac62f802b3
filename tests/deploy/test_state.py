import subprocess
import sys

import pytest
from job_cases import PROJECT
from proxy_cases import GROUP, ROOT, SUBSCRIPTION, WORKSPACE, LoopbackAzure

SCRIPT = """
import signal, sys
from yolo3.deploy.azure import connect
from yolo3.deploy.state import report_when_interrupted
from yolo3.deploy.workspace import Workspace
from yolo3.training.interrupt import Interrupted

subscription, group, *workspaces = sys.argv[1:]
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
sys.argv = ["yolo3", "azureml-delete", "-n", "a b"]
for workspace in workspaces:
    for number in (signal.SIGINT, signal.SIGTERM):
        client = connect(Workspace(subscription, group, workspace))
        try:
            with report_when_interrupted(client, "my-detector"):
                signal.raise_signal(number)
                print("went on")
        except Interrupted:
            print("---")
assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
"""


@pytest.fixture
def azure(tmp_path, monkeypatch):
    with LoopbackAzure(tmp_path) as azure:
        azure.set_environment(monkeypatch)
        yield azure


def test_either_signal_ends_the_block_and_what_is_left_is_told(azure):
    """In a process of its own, since it gets signals; where nobody can be asked, it says so."""
    words = [sys.executable, "-c", SCRIPT, SUBSCRIPTION, GROUP, WORKSPACE, "elsewhere"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *told, end = done.stdout.split("---\n")
    begin = "interrupted; what Azure has begun, it ends. Ctrl-C again ends at once\n"
    again = "to continue, repeat\n  python -m yolo3 azureml-delete -n 'a b'\n"
    assert told[:2] == [f"{begin}endpoint my-detector: there is none\n{again}"] * 2 and end == ""
    for text in told[2:]:
        assert text.startswith(f"{begin}what is left is not known: looking for endpoint my-detec")
        assert text.endswith(again) and "elsewhere" in text
    assert len(told) == 4 and azure.sent("GET", "onlineEndpoints/my-detector")
    assert {request.method for request in azure.requests if ROOT in request.path} == {"GET"}
