import io
import signal
from contextlib import redirect_stdout

import pytest
from proxy_cases import ROOT, LoopbackAzure

from yolo3.deploy.azure import connect
from yolo3.deploy.state import told_when_interrupted
from yolo3.deploy.workspace import Workspace
from yolo3.training.interrupt import Interrupted

NAME = "my-detector"
NOBODY = Workspace("00000000-0000-0000-0000-000000000001", "vision", "toys")


@pytest.fixture
def azure(tmp_path, monkeypatch):
    with LoopbackAzure(tmp_path) as azure:
        azure.set_environment(monkeypatch)
        monkeypatch.setattr("sys.argv", ["yolo3", "azureml-delete", "-n", "a b"])
        yield azure


def interrupt(where, number):
    """Return what is printed; not by capsys, since azure-ai-ml logs to what it finds first."""
    told, client = io.StringIO(), connect(where)
    with redirect_stdout(told), pytest.raises(Interrupted), told_when_interrupted(client, NAME):
        signal.raise_signal(number)
        pytest.fail("went on")
    return told.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_ends_the_block_and_what_is_left_is_told(azure, number):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    told = interrupt(NOBODY, number)
    assert told.splitlines()[1:] == [
        "endpoint my-detector: there is none",
        "to continue, repeat",
        "  python -m yolo3 azureml-delete -n 'a b'",
    ]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_service_that_cannot_be_asked_is_no_traceback(azure):
    elsewhere = Workspace(NOBODY.subscription, "vision", "elsewhere")
    told = interrupt(elsewhere, signal.SIGTERM)
    assert "what is left is not known: looking for endpoint" in told
    assert all(ROOT not in request.path for request in azure.requests)
