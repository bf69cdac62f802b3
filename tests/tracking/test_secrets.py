import os
from pathlib import Path

import mlflow
import pytest
from job_cases import fail_training, run_training, tiny_options

from yolo3.tracking.run import open_run
from yolo3.tracking.secrets import holds_secret, redact, redacted, refuse_secrets
from yolo3.tracking.train import FINAL_MODEL

PLANTED = "pl4nted"  # in every secret here
VARIABLES = {
    "MLFLOW_TRACKING_PASSWORD": f"{PLANTED}-1",
    "MLFLOW_TRACKING_TOKEN": f"{PLANTED}-2",
    "AZURE_CLIENT_SECRET": f"{PLANTED}-3",
    "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=a;AccountKey={PLANTED}-4==;Suffix=b",
    "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-5",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pass@host:5000/x", "http://***@host:5000/x"),
        ("https://token@host/repo.git#sub", "https://***@host/repo.git#sub"),
        ("https:/me:pass@host/list.txt", "https:/***@host/list.txt"),  # as pathlib writes it
        ("at 'https://me:p@ss@host/a' and b", "at 'https://***@host/a' and b"),
        ("http://me:p?ss@host/a", "http://***@host/a"),
        ("postgresql+psycopg2://me:pass@db/mlflow", "postgresql+psycopg2://***@db/mlflow"),
        (
            "https://a.blob.core.windows.net/c/m?sv=1&sig=x",
            "https://a.blob.core.windows.net/c/m?***",
        ),
        ("AccountName=a;AccountKey=abc==;B=c", "AccountName=a;AccountKey=***;B=c"),
        ("lists/a.txt?sig=abc&b=c", "lists/a.txt?sig=***&b=c"),
        ("with Password = abc, and", "with Password = ***, and"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text, shown):
    assert redact(text) == shown and holds_secret(text)
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "voc/list_master.txt",
        "runs:/0123abc/keras-yolo-model",
        "models:/detector@champion",
        "models:/detector/3",
        "sqlite:////home/me@work/mlflow.db",
        "file:///home/me@work:1/mlruns",
        "wasbs://container@account.blob.core.windows.net/path",
        "ssh://git@host/repo.git",
        "git@host:me/repo.git",
        "http://127.0.0.1:5000/#/experiments/0",
        "list.txt:3: box 1 has 'a', expected a number? or not",
        "C:\\me@work\\list.txt",
        "weights_path=none trains from random weights",
    ],
)
def test_what_holds_no_secret_stays(text):
    assert redact(text) == text and not holds_secret(text)


def test_values_of_the_environment_are_hidden(monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_PASSWORD", "p/ss wörd+1")
    monkeypatch.setenv("SHORT_TOKEN", "list")
    assert redact(f"failed with {PLANTED}-3 at list") == "failed with *** at list"
    assert redact("p/ss wörd+1, p%2Fss%20w%C3%B6rd%2B1") == "***, ***"
    tree = {"a": [f"{PLANTED}-1", 1, None], "b": {"c": (f"x{PLANTED}-2",)}, "d": 0.5}
    assert redacted(tree) == {"a": ["***", 1, None], "b": {"c": ["x***"]}, "d": 0.5}


def test_a_path_with_a_secret_is_refused():
    refuse_secrets({"rate": 0.1, "list": Path("a.txt"), "weights": "http://a:b@c"}, ("weights",))
    with pytest.raises(ValueError, match=r"list is a\.txt\?token=\*\*\*: it holds a password or"):
        refuse_secrets({"list": Path("a.txt?token=abcdef")})


@pytest.mark.slow
def test_a_training_records_no_secret(scenes, trained, tmp_path, monkeypatch, tracking):
    """Weights from an address with a password and a token; passwords in the environment."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    model = trained.model_folder(FINAL_MODEL)
    weights = f"file://me:{PLANTED}-6@localhost{model}?sig={PLANTED}-7"
    options = tiny_options(scenes, tmp_path / "logs", weights_path=weights, frozen_epochs=0)
    ran = run_training(options)
    assert ran.run.data.params["weights_path"] == f"file://***@localhost{model}?***"
    assert ran.json("weights.json")["layers"]["filled"] == 24
    assert PLANTED not in ran.output and "***@localhost" in ran.output
    artifacts = Path(ran.run.info.artifact_uri.removeprefix("file://"))
    assert_nowhere(tmp_path, artifacts, ran.model_folder(FINAL_MODEL))


def assert_nowhere(*folders):
    """Look for what was planted in every file: the store, the artifacts, models, checkpoints."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"mlflow.db", "MLmodel", "parameters.json", "weights.json", "data.txt"} <= names
    for path in files:
        assert PLANTED.encode() not in path.read_bytes() and PLANTED not in path.name, path


def test_a_training_that_fails_tells_no_secret(scenes, tmp_path, tracking, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name, value in (
        ("weights_path", f"https://me:{PLANTED}@127.0.0.1:9/model?sig={PLANTED}"),
        ("annotation_path", f"https://127.0.0.1/list.txt?sig={PLANTED}"),
        ("classes_path", f"https://me:{PLANTED}@127.0.0.1/classes.txt"),
    ):
        output = fail_training(tiny_options(scenes, tmp_path / "logs", **{name: value}))
        assert PLANTED not in output and "***" in output and "127.0.0.1" in output
    assert not mlflow.MlflowClient().search_runs(["0"])


def test_what_mlflow_recorded_before_is_mended_or_told(tracking, monkeypatch, capsys):
    """`mlflow run` of an address with a token: it fills the run before the project starts."""
    client = mlflow.MlflowClient()
    tags = {"mlflow.source.name": f"https://{PLANTED}@host/repo.git", "mlflow.user": "me"}
    run_id = client.create_run("0", tags=tags).info.run_id
    client.log_param(run_id, "weights_path", f"'https://host/m?sig={PLANTED}'")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with open_run():
        pass
    tags = client.get_run(run_id).data.tags
    assert tags["mlflow.source.name"] == "https://***@host/repo.git" and tags["mlflow.user"] == "me"
    output = capsys.readouterr().out
    assert "recorded a password or token in weights_path: delete the run" in output
    assert PLANTED not in output


@pytest.mark.filterwarnings("ignore:Query string argument")
def test_the_address_of_the_store_is_told_without_its_password(tracking, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", raising=False)
    mlflow.set_tracking_uri(f"{tracking}?password={PLANTED}")
    with open_run():
        assert os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true"
    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT")
    output = capsys.readouterr()
    assert "mlflow.db?***" in output.out and PLANTED not in output.out + output.err
