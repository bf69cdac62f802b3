import pytest
from job_cases import PROJECT

from yolo3.deploy.fit import MisfitError, check_fit


@pytest.fixture
def code(tmp_path):
    """The code folder of a model, with little in it."""
    files = {
        "yolo3/__init__.py": "",
        "yolo3/detector/__init__.py": "",
        "yolo3/detector/service.py": "import json\nJSON: str = 'x'\nA = B = 1\ndef respond(): 0\n",
    }
    for name, text in files.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    return tmp_path / "code"


def check(code, text):
    script = code.parent / "score.py"
    script.write_text(text)
    check_fit(script, code)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import os.path\nfrom pathlib import Path",
        "import mlflow.pyfunc\nfrom azureml_inference_server_http.api.aml_request import rawhttp",
        "import yolo3.detector.service",
        "def init():\n    from yolo3.detector import service",
        "from yolo3.detector.service import JSON, A, respond, json",
        "from yolo3.detector import service\ndef run(service): service.respond(service.JSON.x)",
    ],
)
def test_what_the_model_carries_fits(code, text):
    check(code, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import numpy", r"score.py:1: imports numpy"),
        ("import azure.ai.ml", r"score.py:1: imports azure"),
        ("\nimport yolo3.evaluation.ap", r"score.py:2: imports yolo3.evaluation.ap.*log it again"),
        ("def init():\n    from yolo3.detector import drawing", r"score.py:2: imports drawing of"),
        ("from yolo3.detector.service import answer", r"imports answer of yolo3.detector.service"),
        ("from . import service", r"score.py:1: imports a neighbour"),
        ("from yolo3.detector import service\n\nservice.C()", r"score.py:3: takes C of service"),
    ],
)
def test_what_it_does_not_carry_is_named_with_its_line(code, text, reason):
    with pytest.raises(MisfitError, match=reason):
        check(code, text)


def test_the_projects_script_fits_the_model_that_it_logs(model):
    check_fit(PROJECT / "score.py", model / "code")
