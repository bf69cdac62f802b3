"""Deployments by the unchanged client to an Azure on the loopback address."""

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from click.testing import CliRunner
from inference_cases import ask, inference_server
from job_cases import PROJECT
from proxy_cases import BLOBS, KEY, LOGIN, ROOT, SCORING, SOON, Failure, LoopbackAzure
from server_cases import environment

from yolo3.commands.main import main
from yolo3.deploy.package import read_package

NAME = "my-detector"
ENDPOINT = f"onlineEndpoints/{NAME}"
JSON = "application/json"


def run(*arguments):
    done = CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)
    assert "Traceback" not in done.output
    return done


def deploy(package, *more):
    return run("azureml-deploy", "--package", package.folder, "-n", NAME, *more)


def deployed(package, *more):
    done = deploy(package, *more)
    assert done.exit_code == 0, done.output
    return done.output


def traffic(azure):
    return azure.named("onlineEndpoints", NAME)["properties"]["traffic"]


@pytest.fixture
def azure(served, tmp_path, monkeypatch):
    with LoopbackAzure(tmp_path, served) as azure:
        azure.set_environment(monkeypatch)
        yield azure


@pytest.fixture(scope="module")
def newer(package, tmp_path_factory):
    """Another package: a line of its script is new."""
    folder = tmp_path_factory.mktemp("newer") / "package"
    shutil.copytree(package.folder, folder)
    script = folder / "code" / "score.py"
    script.write_text(script.read_text() + "\n# newer\n")
    return read_package(folder)


@pytest.fixture(scope="module")
def first(served, package, tmp_path_factory):
    """An Azure after a first deployment, and what was printed; not to be changed."""
    with LoopbackAzure(tmp_path_factory.mktemp("azure"), served) as azure:
        with pytest.MonkeyPatch.context() as patch:
            azure.set_environment(patch)
            output = deployed(package, "--instance-count", "2")
        return azure, output


@pytest.fixture
def standing(azure, first):
    """An Azure where blue takes all traffic."""
    azure.resources = copy.deepcopy(first[0].resources)
    azure.blobs = dict(first[0].blobs)
    assert traffic(azure) == {"blue": 100}
    return azure


def test_the_first_deployment_creates_all_that_it_says(first, package):
    azure, output = first
    version = package.version
    model = azure.named("models", f"{NAME}/versions/{version}")["properties"]
    assert model["modelType"] == "mlflow_model"
    environment = azure.named("environments", f"{NAME}/versions/{version}")["properties"]
    assert yaml.safe_load(environment["condaFile"]) == yaml.safe_load(
        (package.folder / "conda.yaml").read_text()
    )
    assert environment["image"].startswith("mcr.microsoft.com/azureml/")
    endpoint, *_ = azure.sent("PUT", ENDPOINT)
    assert endpoint.json["location"] == "westeurope"
    assert endpoint.json["properties"]["authMode"] == "Key"
    [deployment] = azure.sent("PUT", f"{ENDPOINT}/deployments/blue")
    said = deployment.json
    assert said["sku"]["capacity"] == 2 and said["tags"] == {"package": package.digest}
    properties = said["properties"]
    assert properties["model"] == f"{ROOT}/models/{NAME}/versions/{version}"
    assert properties["environmentId"] == f"{ROOT}/environments/{NAME}/versions/{version}"
    assert properties["codeConfiguration"]["scoringScript"] == "score.py"
    assert properties["instanceType"] == "Standard_DS3_v2"
    assert properties["requestSettings"]["requestTimeout"] == "PT1M30S"
    for probe in ("livenessProbe", "readinessProbe"):
        assert properties[probe]["initialDelay"] == "PT30S"
        assert properties[probe]["failureThreshold"] == 60
    uri = f"https://{SCORING.format(NAME)}/score"
    assert f"scoring URI: {uri}\n" in output and KEY not in output
    assert f'curl {uri} -H "Authorization: Bearer $KEY"' in output


def test_traffic_moves_only_after_the_answer(first):
    azure, _ = first
    order = [(r.host, r.method, r.path) for r in azure.requests]
    path = f"{ROOT}/{ENDPOINT}"
    creates, moves = (i for i, asked in enumerate(order) if asked[1:] == ("PUT", path))
    asks = [i for i, asked in enumerate(order) if asked[0] == SCORING.format(NAME)]
    assert len(asks) == 1 and creates < asks[0] < moves
    assert azure.requests[asks[0]].headers["azureml-model-deployment"] == "blue"
    assert azure.requests[creates].json["properties"]["traffic"] == {}
    assert azure.requests[moves].json["properties"]["traffic"] == {"blue": 100}


def read_back(azure, package, folder):
    """Lay the uploaded files out as Azure ML does for a deployment."""
    uri = azure.named("models", f"{NAME}/versions/{package.version}")["properties"]["modelUri"]
    model = f"azureml/{uri.split('/paths/')[1].rstrip('/')}"
    [(path, code)] = [
        (path, resource) for path, resource in azure.resources.items() if f"{ROOT}/codes/" in path
    ]
    container = code["properties"]["codeUri"].removeprefix(f"https://{BLOBS}/")
    for start, part in ((model, "model"), (container, "code")):
        for name, data in azure.blobs.items():
            if name.startswith(f"{start}/"):
                file = folder / part / name.removeprefix(f"{start}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
    return folder


def contents(folder):
    found = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    return {name: f.read_bytes() for name, f in found.items() if "__pycache__" not in name}


def test_what_was_uploaded_is_the_model_to_the_bit_and_serves(first, package, served, tmp_path):
    folder = read_back(first[0], package, tmp_path / "deployment")
    for part in ("model", "code"):
        assert contents(folder / part) == contents(package.folder / part)
    request = (package.folder / "sample-request.json").read_bytes()
    with inference_server(folder, tmp_path / "log.txt") as address:
        answer = ask(address, "POST", "/score", request, Content_Type=JSON)
    assert answer.status == 200 and answer.json["predictions"][0]["detections"]
    assert answer.body == ask(served, "POST", "/score", request, Content_Type=JSON).body


def test_to_repeat_a_deployment_changes_nothing(standing, package):
    before = copy.deepcopy(standing.resources)
    output = deployed(package)
    assert output.count("registered already") == 2 and "blue: is there already" in output
    assert not [r for r in standing.requests if r.method in ("PUT", "PATCH", "DELETE")]
    assert standing.resources == before and "7 objects found, as expected" in output


def test_more_machines_for_the_same_package_are_the_same_deployment(standing, package):
    deployed(package, "--instance-count", "3")
    [sent] = standing.sent("PUT", f"{ENDPOINT}/deployments/.*")
    assert sent.path.endswith("/blue") and sent.json["sku"]["capacity"] == 3
    assert traffic(standing) == {"blue": 100}


def test_a_newer_package_takes_over_in_the_other_colour(standing, newer):
    deployed(newer, "--traffic", "10")
    [sent] = standing.sent("PUT", f"{ENDPOINT}/deployments/green")
    assert sent.json["sku"]["capacity"] == 2  # as many machines as blue has
    assert traffic(standing) == {"blue": 90, "green": 10}
    output = deployed(newer)
    assert traffic(standing) == {"green": 100} and "green: is there already" in output
    assert not standing.sent("PUT", f"{ENDPOINT}/deployments/blue")
    deployments = [name for name in standing.resources if "/deployments/" in name]
    assert len(deployments) == 2  # blue waits, to go back to


def test_a_new_endpoint_gets_one_machine(azure, package):
    output = deployed(package)
    [sent] = azure.sent("PUT", f"{ENDPOINT}/deployments/blue")
    assert sent.json["sku"]["capacity"] == 1 and "blue 100 %" in output


def test_a_deployment_that_finds_something_else_gets_no_traffic(standing, newer):
    rows = json.loads((newer.folder / "sample-answer.json").read_text("utf-8"))["predictions"]
    rows[0]["detections"][0]["score"] -= 0.2
    standing.answers = json.dumps({"predictions": rows}).encode()
    done = deploy(newer)
    told = "the sample request to green: does not agree with sample-answer.json: expected '"
    assert done.exit_code == 1 and f"Error: {told}" in done.output
    assert traffic(standing) == {"blue": 100} and "stays as it was: blue 100 %" in done.output
    standing.answers = b'{"predictions": [{"error": "", "detections": []}]}'
    assert "got nothing there" in deploy(newer).output and traffic(standing) == {"blue": 100}
    standing.answers = b""
    deployed(newer)
    assert traffic(standing) == {"green": 100}


def test_operations_in_progress_are_waited_for(standing, newer, monkeypatch):
    monkeypatch.setattr("yolo3.deploy.state.PROGRESS_SECONDS", 0.01)
    path = f"{ROOT}/{ENDPOINT}"
    standing.states = {path: ["Updating"], f"{path}/deployments/blue": ["Creating"] * 4}
    output = deployed(newer)
    assert f"endpoint {NAME} is updating, deployment blue is creating: waiting for 0 s" in output
    assert "\ndeployment blue is creating: waiting for" in output
    assert traffic(standing) == {"green": 100}
    monkeypatch.setattr("yolo3.deploy.state.BUSY_SECONDS", 0.05)
    standing.states = {f"{path}/deployments/blue": ["Scaling"] * 1000}
    done = deploy(newer)
    assert done.exit_code == 1 and "Error: deployment blue is scaling for" in done.output


def test_a_deployment_that_is_interrupted_tells_what_is_left(standing, newer, tmp_path):
    """As under `mlflow run`: Ctrl-C, and a SIGTERM right after it."""
    (tmp_path / "my models").symlink_to(newer.folder)
    words = ["azureml-deploy", "--package", "my models", "-n", NAME, "--traffic", "10"]
    path = {"PYTHONPATH": str(PROJECT)}
    standing.polls = 10_000  # the deployment does not come up
    with subprocess.Popen(
        [sys.executable, "-m", "yolo3", *words],
        cwd=tmp_path,
        env=environment(**path),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while not standing.sent("PUT", ".*/green") and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    lines = [line.lstrip(".") for line in output.splitlines()]  # azure-ai-ml's own progress
    assert process.returncode == 130 and lines[-6:] == [
        "interrupted; what Azure has begun, it ends. Ctrl-C again ends at once",
        f"endpoint {NAME}: succeeded, traffic blue 100 %",
        "deployment blue: succeeded, 2 x Standard_DS3_v2",
        "deployment green: succeeded, 2 x Standard_DS3_v2",
        "to continue, repeat",
        f"  python -m yolo3 azureml-deploy --package 'my models' -n {NAME} --traffic 10",
    ]
    standing.polls = 2
    assert "green: is there already" in deployed(newer)


def test_one_goes_back_by_deploying_the_old_one_again(standing, package, newer):
    deployed(newer)
    output = deployed(package, "--instance-count", "2")
    assert traffic(standing) == {"blue": 100} and "blue: is there already" in output


def test_a_third_one_is_refused_where_both_take_traffic(standing, package, newer):
    deployed(newer, "--traffic", "10")
    count = len(standing.requests)
    done = deploy(package, "--instance-type", "Standard_F4s_v2")
    assert done.exit_code == 1 and "both blue (90 %) and green (10 %)" in done.output
    assert not [r for r in standing.requests[count:] if r.method in ("PUT", "PATCH", "DELETE")]


def test_what_is_changed_in_the_folder_is_what_is_deployed(standing, package, tmp_path):
    shutil.copytree(package.folder, tmp_path / "mine")
    file = tmp_path / "mine" / "deployment.yml"
    text = file.read_text().replace("timeout_ms: 90000", "timeout_ms: 60000")
    file.write_text(text.replace("ubuntu22.04:latest", "ubuntu22.04:20261101.v1"))
    mine = read_package(tmp_path / "mine")
    deployed(mine)
    green = standing.named(ENDPOINT, "deployments/green")["properties"]
    assert green["requestSettings"]["requestTimeout"] == "PT1M"
    environment = standing.named("environments", f"{NAME}/versions/{mine.version}")
    assert environment["properties"]["image"].endswith("ubuntu22.04:20261101.v1")
    assert traffic(standing) == {"green": 100}


def test_what_cannot_be_is_told_before_anything_is_made(azure, package):
    done = deploy(package, "--traffic", "50")
    assert done.exit_code == 1 and "the other 50 %" in done.output
    assert not azure.resources


def test_a_name_that_azure_would_refuse_is_told_at_once(azure, package):
    done = run("azureml-deploy", "--package", package.folder, "-n", "my_detector")
    assert done.exit_code == 1 and "letters, digits and hyphens" in done.output
    assert not azure.requests


FAILURES = {
    "login": (Failure("POST", "/token", 401, host=LOGIN), "looking for endpoint"),
    "no right to read": (Failure("GET", f"/{ENDPOINT}$", 403), "looking for endpoint"),
    "a list of deployments": (Failure("GET", "/deployments$", 401), "looking for endpoint"),
    "the model's files": (Failure("PUT", "/azureml/", 403, host=BLOBS), "model my-detector:"),
    "the model": (Failure("PUT", "/models/", 500, headers=SOON), "model my-detector:"),
    "the environment": (Failure("PUT", "/environments/", 409), "environment my-detector:"),
    "the script": (Failure("PUT", "/codes/", 403), "deployment green:"),
    "the deployment": (Failure("PUT", "/deployments/green$", 409), "deployment green:"),
    "the answer": (
        Failure("POST", "/score", 502, host=SCORING.format(NAME), headers=SOON),
        "the sample request to green:",
    ),
    "the traffic": (Failure("PUT", f"/{ENDPOINT}$", 409), "the traffic of"),
}
WITH_LOGS = ("the script", "the deployment", "the answer")


@pytest.mark.parametrize("step", FAILURES)
def test_a_failure_at_any_step_leaves_the_old_deployment_serving(standing, newer, step):
    failure, told = FAILURES[step]
    standing.failures.append(copy.copy(failure))
    blue = copy.deepcopy(standing.named(ENDPOINT, "deployments/blue"))
    done = deploy(newer)
    assert done.exit_code == 1 and f"Error: {told}" in done.output
    assert traffic(standing) == {"blue": 100}
    assert standing.named(ENDPOINT, "deployments/blue") == blue
    assert ("loopback log: User's init function failed" in done.output) == (step in WITH_LOGS)
    standing.failures.clear()
    if step in ("the model's files", "the deployment", "the traffic"):
        deployed(newer)
        assert traffic(standing) == {"green": 100}


def test_a_deployment_that_does_not_come_up_shows_its_logs(standing, newer):
    standing.provisioning = lambda path: "Failed" if path.endswith("/green") else "Succeeded"
    done = deploy(newer)
    assert done.exit_code == 1 and traffic(standing) == {"blue": 100}
    asked = [request.json for request in standing.sent("POST", ".*/green/getLogs")]
    assert [what["containerType"] for what in asked] == ["InferenceServer", "StorageInitializer"]
    assert done.output.count("loopback log: User's init function failed") == 2
    assert "init() raised" in done.output and "stays as it was: blue 100 %" in done.output
    standing.provisioning = lambda path: "Succeeded"
    deployed(newer)
    assert traffic(standing) == {"green": 100}


def test_a_deployment_that_answers_nonsense_gets_no_traffic(standing, newer):
    standing.answers = b'{"predictions": [{"error": "image is empty", "detections": []}]}'
    done = deploy(newer)
    assert done.exit_code == 1 and "the sample request to green: answered" in done.output
    assert traffic(standing) == {"blue": 100} and "loopback log" in done.output


def test_what_azure_refuses_for_now_is_asked_again(standing, newer):
    later = {"Retry-After": "1"}
    standing.failures += [
        Failure("PUT", "/environments/", 429, times=1, headers=later),
        Failure("GET", "/operations/", 500, times=2, headers=SOON),
    ]
    standing.polls = 4
    deployed(newer)
    assert traffic(standing) == {"green": 100}
    assert len(standing.sent("PUT", "environments/.*")) == 2


def test_a_long_operation_is_told_while_it_lasts(standing, newer, monkeypatch):
    monkeypatch.setattr("yolo3.deploy.state.PROGRESS_SECONDS", 0.01)
    standing.polls = 6
    assert "deployment green: InProgress for 0 s" in deployed(newer)


def test_traffic_that_was_moved_meanwhile_is_left(standing, newer):
    def someone_else(path):
        if path.endswith("/green"):
            standing.named("onlineEndpoints", NAME)["properties"]["traffic"] = {"blue": 0}
        return "Succeeded"

    standing.provisioning = someone_else
    done = deploy(newer)
    assert done.exit_code == 1 and "was changed meanwhile to none" in done.output


def test_a_workspace_that_is_not_there_is_told(azure, package):
    done = deploy(package, "--workspace", "elsewhere")
    assert done.exit_code == 1 and "elsewhere" in done.output
    assert all(request.method in ("GET", "POST") for request in azure.requests)


def test_a_dry_run_prints_every_resource_and_asks_nobody(azure, package, monkeypatch):
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    output = deployed(package, "--dry-run", "--instance-count", "2")
    start = output.index("--- # model")
    model, environment, endpoint, deployment, _ = yaml.safe_load_all(output[start:])
    assert (model["name"], model["version"]) == (NAME, package.version)
    assert environment["conda_file"]["name"] and endpoint["auth_mode"] == "key"
    assert deployment["name"] == "blue" and deployment["instance_count"] == 2
    assert deployment["model"] == f"azureml:{NAME}:{package.version}"
    assert "blue 100 %" in output and not azure.requests


def test_an_endpoint_is_deleted_with_all_that_it_runs(standing):
    done = run("azureml-delete", "-n", NAME, "--yes")
    assert done.exit_code == 0 and "deleted" in done.output
    assert not [name for name in standing.resources if ENDPOINT in name]
    assert standing.named("models", NAME + "/versions/" + version_of(standing))
    again = run("azureml-delete", "-n", NAME, "--yes")
    assert again.exit_code == 0 and "there is none" in again.output


def version_of(azure):
    [found] = re.findall(rf"/models/{NAME}/versions/(\w+)", " ".join(azure.resources))
    return found


def test_one_deployment_is_deleted_if_it_takes_no_traffic(standing, newer):
    done = run("azureml-delete", "-n", NAME, "--deployment", "blue", "--yes")
    assert done.exit_code == 1 and "blue takes 100 %" in done.output
    deployed(newer)
    assert run("azureml-delete", "-n", NAME, "--deployment", "blue", "--yes").exit_code == 0
    assert [n.rpartition("/")[2] for n in standing.resources if "/deployments/" in n] == ["green"]
    again = run("azureml-delete", "-n", NAME, "--deployment", "blue", "--yes")
    assert again.exit_code == 0 and "there is none" in again.output


def test_delete_asks_first(standing):
    done = run("azureml-delete", "-n", NAME)
    assert done.exit_code == 1 and not standing.requests


def test_what_to_deploy_is_said_once(azure, package):
    for more in ((), ("--package", package.folder, "--model", "x")):
        done = run("azureml-deploy", "-n", NAME, *more)
        assert done.exit_code == 2 and "Give one of --model and --package" in done.output


def test_a_model_is_exported_on_the_way(azure, model):
    assert run("azureml-deploy", "-m", model, "-n", NAME).exit_code == 0
    assert traffic(azure) == {"blue": 100}
