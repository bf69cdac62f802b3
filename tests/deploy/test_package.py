import base64
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from azure.ai.ml import (
    load_environment,
    load_model,
    load_online_deployment,
    load_online_endpoint,
)
from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint
from click.testing import CliRunner
from detector_cases import LOCK, make_photo
from job_cases import PROJECT
from mlflow.entities import LoggedModelOutput
from PIL import Image

from yolo3.commands.main import main
from yolo3.data.images import ImageError
from yolo3.deploy.fit import MisfitError
from yolo3.deploy.package import (
    SERVER_PIN,
    WRITTEN,
    Package,
    PackageError,
    export_package,
    read_package,
)
from yolo3.deploy.texts import SERVE
from yolo3.detector.checksums import check_sums
from yolo3.detector.mlflow_model import ModelError


def files(folder):
    found = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    return {name: file.read_bytes() for name, file in found.items() if "__pycache__" not in name}


def test_the_folder_holds_the_model_as_it_was_and_the_projects_script(package, model):
    assert sorted(path.name for path in package.folder.iterdir()) == sorted(WRITTEN)
    assert files(package.folder / "model") == files(model)
    assert files(package.folder / "code") == {"score.py": (PROJECT / "score.py").read_bytes()}


def test_no_file_names_the_machine_that_wrote_it(package, model):
    for name, data in files(package.folder).items():
        for place in (PROJECT, model, package.folder, Path.home(), Path(os.sep, "tmp")):
            assert f"{place}{os.sep}".encode() not in data, name


def test_the_environment_has_every_pin_of_the_lock_and_the_server(package):
    lines = (package.folder / "requirements.txt").read_text().splitlines()
    assert sorted(lines) == sorted([*LOCK.read_text().splitlines(), SERVER_PIN])
    python, pip, group = yaml.safe_load((package.folder / "conda.yaml").read_text())["dependencies"]
    assert python.startswith("python=3.") and pip == "pip" and group == {"pip": lines}


def test_azures_own_loaders_take_the_files(package):
    folder = package.folder
    endpoint = load_online_endpoint(folder / "endpoint.yml")
    deployment = load_online_deployment(folder / "deployment.yml")
    assert isinstance(endpoint, ManagedOnlineEndpoint) and endpoint.auth_mode == "key"
    assert isinstance(deployment, ManagedOnlineDeployment)
    assert deployment.endpoint_name == endpoint.name and deployment.name == "blue"
    assert Path(deployment.model.path) == folder / "model"
    assert deployment.model.type == "mlflow_model"
    assert deployment.code_configuration.scoring_script == "score.py"
    assert deployment.environment.conda_file == yaml.safe_load((folder / "conda.yaml").read_text())
    assert (deployment.instance_type, deployment.instance_count) == ("Standard_DS3_v2", 1)
    assert deployment.request_settings.request_timeout_ms == 90_000
    for probe in (deployment.liveness_probe, deployment.readiness_probe):
        assert probe.initial_delay + probe.period * probe.failure_threshold >= 600
    parts = yaml.safe_load((folder / "deployment.yml").read_text())
    for kind, load in (("model", load_model), ("environment", load_environment)):
        text = io.StringIO(yaml.safe_dump({"name": "x", "version": "1", **parts[kind]}))
        assert load(text, relative_origin=str(folder / "deployment.yml")).name == "x"


@pytest.mark.parametrize("file", ["endpoint.yml", "deployment.yml"])
def test_the_loaders_would_refuse_another_key(package, tmp_path, file):
    shutil.copytree(package.folder, tmp_path / "copy")
    path = tmp_path / "copy" / file
    path.write_text(path.read_text() + "instances: 3\n")
    load = load_online_endpoint if file == "endpoint.yml" else load_online_deployment
    with pytest.raises(Exception, match="instances"):
        load(path)


def test_the_sample_is_the_models_own_picture(package, model):
    sample = (package.folder / "sample.jpg").read_bytes()
    request = json.loads((package.folder / "sample-request.json").read_text())["input_data"]
    assert request["columns"] == ["image"] and request["index"] == [0]
    assert base64.b64decode(request["data"][0][0]) == sample
    example = json.loads((model / "input_example.json").read_text())
    assert base64.b64decode(example["data"][0][0]) == sample
    with Image.open(io.BytesIO(sample)) as image:
        assert image.format == "JPEG"


def test_another_picture_may_be_the_sample(model, tmp_path):
    make_photo(9, (900, 300)).save(tmp_path / "mine.png")
    export_package(str(model), tmp_path / "out", picture=tmp_path / "mine.png")
    with Image.open(tmp_path / "out" / "sample.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (640, 213))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ImageError):
        export_package(str(model), tmp_path / "new", picture=tmp_path / "bad.png")
    assert not (tmp_path / "new").exists()


def test_the_same_model_has_the_same_digest_and_another_another(package, model, tmp_path):
    again = export_package(str(model), tmp_path / "again")
    assert again.digest == package.digest and files(again.folder) == files(package.folder)
    assert len(package.version) == 16 and package.digest.startswith(package.version)
    for name in ("code/score.py", "deployment.yml"):
        before = read_package(again.folder).digest
        file = again.folder / name
        file.write_text(file.read_text() + "# changed\n")
        assert read_package(again.folder).digest != before


def test_one_model_has_one_digest_by_whatever_name(model, package, tracking, tmp_path):
    with mlflow.start_run() as run:
        logged = mlflow.initialize_logged_model("keras-yolo-model")
        client = mlflow.MlflowClient()
        client.log_model_artifacts(logged.model_id, str(model))
        client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)])
        client.finalize_logged_model(logged.model_id, "READY")
        mlflow.register_model(f"models:/{logged.model_id}", "detector")
    client.set_registered_model_alias("detector", "champion", 1)
    run_uri = f"runs:/{run.info.run_id}/keras-yolo-model"
    local = mlflow.artifacts.download_artifacts(run_uri, dst_path=str(tmp_path / "own"))
    (Path(local) / "code" / "__pycache__").mkdir()
    (Path(local) / "code" / "__pycache__" / "a.pyc").touch()
    names = (run_uri, "models:/detector/1", "models:/detector@champion", local)
    for number, name in enumerate(names):
        exported = export_package(name, tmp_path / str(number))
        assert exported.digest == package.digest, name
        shutil.rmtree(exported.folder)


def test_the_expected_answer_is_that_of_predict(package):
    answer = json.loads((package.folder / "sample-answer.json").read_text("utf-8"))
    loaded = mlflow.pyfunc.load_model(str(package.folder / "model"))
    request = json.loads((package.folder / "sample-request.json").read_text())["input_data"]
    table = pd.DataFrame(request["data"], columns=request["columns"])
    assert answer == {"predictions": loaded.predict(table).to_dict("records")}
    assert package.expected == answer["predictions"][0]["detections"]
    assert package.score_threshold == 0.5 < package.expected[0]["score"] - 0.1


def test_an_image_without_an_object_is_no_sample(model, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    blind = shutil.copytree(model, tmp_path / "blind", copy_function=os.link)
    settings = json.loads((blind / "data/detector.json").read_text("utf-8"))
    settings["thresholds"]["score_threshold"] = 0.99
    (blind / "data/detector.json").unlink()
    (blind / "data/detector.json").write_text(json.dumps(settings))
    (blind / "SHA256SUMS").unlink()
    words = ["azureml-export", "-m", str(blind), "-o", str(tmp_path / "out"), "--picture"]
    done = CliRunner().invoke(main, [*words, str(tmp_path / "black.png")], catch_exceptions=False)
    assert done.exit_code == 1 and f"Error: {tmp_path}/black.png: the model finds no" in done.output
    with pytest.raises(PackageError, match="the model's own example image: .* with --picture"):
        export_package(str(blind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_export_records_checksums_and_a_flipped_bit_is_found(package, model, tmp_path):
    copy = shutil.copytree(package.folder, tmp_path / "copy", copy_function=os.link)
    check_sums(copy, tuple(WRITTEN))
    (copy / "model/code/__pycache__").mkdir()
    (copy / "model/code/__pycache__/a.pyc").touch()
    assert read_package(copy) == Package(copy, package.digest)
    for name in ("model/data/detector.bin", "model/MLmodel", "sample.jpg", "sample-answer.json"):
        sound = (copy / name).read_bytes()
        data = bytearray(sound)
        data[len(data) // 2] ^= 1
        (copy / name).unlink()  # a link to the sound one
        (copy / name).write_bytes(data)
        with pytest.raises(PackageError, match=f"is damaged: {name} differs .*export the model ag"):
            read_package(copy)
        (copy / name).write_bytes(sound)
    damaged = shutil.copytree(model, tmp_path / "model", copy_function=os.link)
    (damaged / "data/detector.bin").unlink()
    with pytest.raises(ModelError, match="data/detector.bin is missing"):
        export_package(str(damaged), tmp_path / "out")


def test_an_export_of_an_earlier_version_is_to_be_made_again(package, tmp_path):
    old = shutil.copytree(package.folder, tmp_path / "old", copy_function=os.link)
    for name in ("sample-answer.json", "SHA256SUMS"):
        (old / name).unlink()
    with pytest.raises(PackageError, match="by an earlier version .*: export the model again"):
        read_package(old)


def test_a_folder_that_holds_something_is_refused_unless_forced(model, package, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.keras").touch()
    with pytest.raises(PackageError, match="exists and is not empty.*--force"):
        export_package(str(model), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "model"}
    export_package(str(model), tmp_path, force=True)
    (tmp_path / "notes.txt").rename(tmp_path.parent / "notes.txt")
    assert files(tmp_path) == files(package.folder)
    with pytest.raises(PackageError, match="is a file"):
        export_package(str(model), tmp_path.parent / "notes.txt", force=True)


def test_a_model_is_never_written_over(model, tmp_path):
    own = shutil.copytree(model, tmp_path / "own")
    with pytest.raises(PackageError, match="own is an MLflow model, name another"):
        export_package(str(own), own, force=True)
    assert (own / "code" / "yolo3" / "detector" / "service.py").is_file()


def test_an_empty_folder_is_taken(model, tmp_path):
    (tmp_path / "new").mkdir()
    export_package(str(model), tmp_path / "new")


def test_what_is_no_model_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), "runs:/0123/keras-yolo-model"):
        with pytest.raises(ModelError):
            export_package(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_was_logged_with_older_code_is_refused(model, tmp_path):
    shutil.copytree(model, tmp_path / "old")
    for name in ("code/yolo3/detector/service.py", "SHA256SUMS"):
        (tmp_path / "old" / name).unlink()
    with pytest.raises(MisfitError, match=r"score.py:\d+: .*service.* of yolo3.detector"):
        export_package(str(tmp_path / "old"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_export_is_told(package, tmp_path):
    with pytest.raises(PackageError, match="it lacks model, code"):
        read_package(tmp_path)
    shutil.copytree(package.folder, tmp_path / "copy")
    (tmp_path / "copy/endpoint.yml").unlink()
    with pytest.raises(PackageError, match=r"it lacks endpoint\.yml$"):
        read_package(tmp_path / "copy")


def run_create(package, tmp_path, fails_at="", *arguments):
    """Run the script with an `az` that writes down how it was called; return status and calls.

    It is called by a relative path, with a CDPATH in which there is a folder of the same name.
    """
    tools, calls = tmp_path / "tools", tmp_path / "calls.txt"
    tools.mkdir(exist_ok=True)
    calls.write_text("")
    failing = f'case "$*" in *"{fails_at}"*) exit 3;; esac\n' if fails_at else ""
    (tools / "az").write_text(f'#!/bin/sh\necho "$PWD: $*" >> "{calls}"\n{failing}')
    (tools / "az").chmod(0o755)
    script = Path(package.folder.name) / "create_service.sh"
    (tmp_path / "elsewhere" / package.folder.name).mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    environment["CDPATH"] = str(tmp_path / "elsewhere")
    done = subprocess.run(
        ["bash", script, *arguments], cwd=package.folder.parent, env=environment, timeout=30
    )
    return done.returncode, calls.read_text().splitlines()


def test_the_script_creates_endpoint_and_deployment(package, tmp_path):
    status, calls = run_create(package, tmp_path, "", "my-detector")
    here = f"{package.folder}: ml online-"
    assert status == 0
    assert calls == [
        here + "endpoint create --name my-detector --file endpoint.yml",
        here + "deployment create --endpoint-name my-detector --file deployment.yml --all-traffic",
        here + "endpoint invoke --name my-detector --request-file sample-request.json",
        here + "endpoint show --name my-detector --query scoring_uri --output tsv",
    ]
    name = yaml.safe_load((package.folder / "endpoint.yml").read_text())["name"]
    assert all(f" {name} " in call for call in run_create(package, tmp_path)[1])


def test_the_script_stops_at_the_first_error(package, tmp_path):
    status, calls = run_create(package, tmp_path, "deployment create")
    assert status == 3 and len(calls) == 2
    bare = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [package.folder / "create_service.sh"], env=bare, capture_output=True, timeout=30
    )
    assert done.returncode == 127 and b"az" in done.stderr


def test_the_command_has_the_flags_that_mlflows_own_export_had(model, package, tmp_path):
    output = tmp_path / "it's mine"

    def export(*more):
        words = ["azureml-export", "-m", str(model), "-o", str(output), *more]
        return CliRunner().invoke(main, words, catch_exceptions=False)

    done = export()
    assert done.exit_code == 0
    [command] = [line for line in done.output.splitlines() if line.startswith("  cd ")]
    stub = 'gunicorn() { pwd; echo $AML_APP_ROOT "$@"; }; '
    told = subprocess.check_output(["bash", "-c", stub + command], text=True, timeout=30)
    assert told.splitlines() == [str(output), f"{output}/code {SERVE.partition('gunicorn ')[2]}"]
    assert files(output) == files(package.folder)
    again = export()
    assert again.exit_code == 1 and "exists and is not empty" in again.output
    assert export("--force").exit_code == 0


def test_the_pages_serve_with_the_command_that_the_tests_serve_with(package):
    for page in (PROJECT / "README.md", package.folder / "README.md"):
        assert f"\n{SERVE}\n" in page.read_text("utf-8")


@pytest.mark.parametrize("option", ["--traffic=10", "--instance-count=2", "--instance-type=F2"])
def test_what_v1_cannot_do_is_refused(package, option):
    words = ["azureml-deploy", "--package", package.folder, "-n", "d", "--sdk", "v1", option]
    done = CliRunner().invoke(main, [*map(str, words), "--dry-run"])
    assert done.exit_code == 2 and f"{option.partition('=')[0]} is for --sdk v2" in done.output
