"""Bring an exported folder to a managed online endpoint of Azure ML, with azure-ai-ml.

model and environment -> registered, under a version that is the digest of what is served
endpoint              -> created if it is new; its traffic stays as it is
deployment            -> blue or green, whichever takes no traffic
sample request        -> asked of that deployment, and the answer compared with the export's
traffic               -> moved only now

A step that is done already is not done again. When one fails, the traffic is as it was.
"""

import io
import json
import re
import shlex
import time
from dataclasses import dataclass

import yaml

from yolo3.deploy import state
from yolo3.deploy.agreement import difference
from yolo3.deploy.package import (
    BLUE,
    CONDA,
    DEPLOYMENT,
    ENDPOINT,
    GREEN,
    MODEL,
    SAMPLE_ANSWER,
    SAMPLE_REQUEST,
    Package,
)
from yolo3.deploy.sdk import DeployError, need, step
from yolo3.deploy.state import EXTRA, SUCCEEDED, look, look_when_settled, shown, state_of
from yolo3.deploy.traffic import choose_colour, share_traffic
from yolo3.deploy.workspace import Workspace

DIGEST_TAG = "package"
LOG_LINES = 200
LOGS = ("inference-server", "storage-initializer")
_RETRIES = 4  # of a request that Azure refuses for now: some ten seconds, or what it asks for
_NAME = re.compile("[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]", re.ASCII)


@dataclass(frozen=True)
class Wish:
    """Say what is to serve: endpoint, machines, and per cent of the endpoint's traffic.

    instance_count: 0 for as many machines as there are, 1 where there are none.
    Raises DeployError for a name that Azure ML would not take.
    """

    name: str
    instance_type: str
    instance_count: int
    traffic: int

    def __post_init__(self):
        check_name(self.name)


def check_name(name: str) -> None:
    """Raise DeployError for what cannot be an endpoint's name."""
    if not _NAME.fullmatch(name):
        raise DeployError(
            f"name {name!r}: expected 3 to 32 letters, digits and hyphens, a letter first and no"
            " hyphen last; it must be the only one in its region"
        )


@dataclass(frozen=True)
class Resources:
    """Hold what is created, as azure-ai-ml has it."""

    model: object
    environment: object
    endpoint: object
    deployment: object

    def in_yaml(self) -> str:
        """Write all as YAML documents, as `az ml` would take them."""
        return "".join(f"--- # {kind}\n{_yaml(value)}" for kind, value in vars(self).items())


def plan(package: Package, wish: Wish, colour: str, machines: int) -> Resources:
    """Make the resources from the exported files; asks nobody. Raises DeployError."""
    ml = need("azure.ai.ml", EXTRA)
    entities = need("azure.ai.ml.entities", EXTRA)
    folder, version = package.folder, package.version
    with step("the exported files"):
        model = entities.Model(
            name=wish.name, version=version, path=folder / MODEL, type="mlflow_model"
        )
        environment = entities.Environment(
            name=wish.name, version=version, image=package.image, conda_file=folder / CONDA
        )
        named = [{"name": wish.name}]
        endpoint = ml.load_online_endpoint(folder / ENDPOINT, params_override=named)
        changes = {
            "name": colour,
            "endpoint_name": wish.name,
            "model": f"azureml:{wish.name}:{version}",
            "environment": f"azureml:{wish.name}:{version}",
            "instance_type": wish.instance_type,
            "instance_count": machines,
            "tags": {DIGEST_TAG: package.digest},
        }
        override = [{key: value} for key, value in changes.items()]
        deployment = ml.load_online_deployment(folder / DEPLOYMENT, params_override=override)
    return Resources(model, environment, endpoint, deployment)


def connect(where: Workspace):
    """Make a client; nobody is asked yet."""
    ml = need("azure.ai.ml", EXTRA)
    identity = need("azure.identity", EXTRA)
    with step("the Azure ML client"):
        return ml.MLClient(
            identity.DefaultAzureCredential(),
            where.subscription,
            where.resource_group,
            where.workspace,
            enable_telemetry=False,
            retry_total=_RETRIES,
        )


def in_words(package: Package, wish: Wish) -> str:
    """Tell every resource that a deployment to a new endpoint would create; asks nobody."""
    shared = share_traffic({}, BLUE, wish.traffic)
    return (
        plan(package, wish, BLUE, wish.instance_count or 1).in_yaml()
        + f"--- # traffic, once {BLUE} has answered {SAMPLE_REQUEST}\n{shown(shared)}\n"
        f"# where {BLUE} takes traffic already, the deployment is {GREEN}\n"
    )


def deploy(package: Package, where: Workspace, wish: Wish) -> str:
    """Deploy a package and move the traffic to it; returns the scoring URI, tells all on the way.

    Raises DeployError, after the new deployment's own logs where it did not come up or answer as
    the exported model does; the endpoint's traffic is then as it was before. Raises Interrupted on
    Ctrl-C and SIGTERM, after telling what is left.
    """
    client = connect(where)
    with state.report_when_interrupted(client, wish.name):
        return _deploy(client, package, where, wish)


def _deploy(client, package: Package, where: Workspace, wish: Wish) -> str:
    endpoint, present = look_when_settled(client, wish.name)
    traffic = dict(endpoint.traffic or {}) if endpoint else {}
    same = _same(present, package.digest, wish.instance_type, traffic)
    colour = choose_colour(traffic, same)
    shared = share_traffic(traffic, colour, wish.traffic)
    machines = wish.instance_count or _machines(present, traffic, colour)
    resources = plan(package, wish, colour, machines)
    _register(client, resources)
    if endpoint is None or state_of(endpoint) != SUCCEEDED:
        with step(f"endpoint {wish.name}"):
            begun = client.online_endpoints.begin_create_or_update(endpoint or resources.endpoint)
            endpoint = _wait(begun, f"endpoint {wish.name}")
    try:
        _bring_up(client, resources.deployment, present.get(colour))
        _ask(client, wish.name, colour, package)
    except DeployError:
        _tell_logs(client, wish.name, colour)
        print(f"traffic of {wish.name} stays as it was: {shown(traffic)}", flush=True)
        raise
    uri = _move(client, wish.name, traffic, shared)
    _tell_use(uri, wish.name, where)
    return uri


def delete(where: Workspace, name: str, colour: str) -> None:
    """Delete an endpoint with all that it runs, or one deployment that takes no traffic.

    What is not there is told, not an error. Registered models and environments stay.
    """
    client = connect(where)
    with state.report_when_interrupted(client, name):
        _delete(client, name, colour)


def _delete(client, name: str, colour: str) -> None:
    endpoint, present = look(client, name)
    if endpoint is None:
        print(f"endpoint {name}: there is none")
    elif not colour:
        with step(f"deleting endpoint {name}"):
            _wait(client.online_endpoints.begin_delete(name=name), f"deleting endpoint {name}")
        print(f"endpoint {name}: deleted; its registered model and environment stay")
    elif (endpoint.traffic or {}).get(colour):
        raise DeployError(
            f"{colour} takes {endpoint.traffic[colour]} % of the traffic of {name}: deploy to the"
            " other one with traffic 100 first, or delete the endpoint"
        )
    elif colour not in present:
        print(f"deployment {colour} of {name}: there is none")
    else:
        with step(f"deleting deployment {colour}"):
            begun = client.online_deployments.begin_delete(name=colour, endpoint_name=name)
            _wait(begun, f"deleting deployment {colour}")
        print(f"deployment {colour} of {name}: deleted")


def _same(present: dict, digest: str, instance_type: str, traffic: dict) -> str | None:
    """Name the deployment that is of this package and kind of machine, first one with traffic."""
    same = [
        name
        for name, deployment in present.items()
        if (deployment.tags or {}).get(DIGEST_TAG) == digest
        and deployment.instance_type == instance_type
    ]
    return max(same, key=lambda name: traffic.get(name, 0), default=None)


def _machines(present: dict, traffic: dict, colour: str) -> int:
    """Count the machines that serve now, so that a new deployment can take over from them."""
    serving = [name for name in present if traffic.get(name) or name == colour]
    return max((int(present[name].instance_count or 0) for name in serving), default=0) or 1


def _register(client, resources: Resources) -> None:
    kinds = (("model", client.models), ("environment", client.environments))
    for kind, operations in kinds:
        entity = getattr(resources, kind)
        what = f"{kind} {entity.name}:{entity.version}"
        with step(what):
            if _exists(operations, entity):
                print(f"{what}: registered already", flush=True)
            else:
                operations.create_or_update(entity)
                print(f"{what}: registered", flush=True)


def _exists(operations, entity) -> bool:
    errors = need("azure.core.exceptions", EXTRA)
    try:
        operations.get(name=entity.name, version=entity.version)
    except errors.ResourceNotFoundError:
        return False
    return True


def _bring_up(client, wanted, present) -> None:
    """Create or update a deployment, unless it is there already, as it is wanted."""
    what = f"deployment {wanted.name}"
    if present is not None and _is_up(present, wanted):
        print(f"{what}: is there already", flush=True)
        return
    with step(what):
        brought = _wait(client.online_deployments.begin_create_or_update(wanted), what)
        if state_of(brought) != SUCCEEDED:
            raise DeployError(f"{what}: ended as {state_of(brought)}")


def _is_up(present, wanted) -> bool:
    return (
        state_of(present) == SUCCEEDED
        and (present.tags or {}).get(DIGEST_TAG) == wanted.tags[DIGEST_TAG]
        and present.instance_type == wanted.instance_type
        and int(present.instance_count or 0) == wanted.instance_count
    )


def _ask(client, name: str, colour: str, package: Package) -> None:
    """Ask a deployment the sample request, past the traffic rules.

    Raises DeployError for an answer that is not the exported model's.
    """
    what = f"the sample request to {colour}"
    with step(what):
        answer = client.online_endpoints.invoke(
            endpoint_name=name,
            deployment_name=colour,
            request_file=str(package.folder / SAMPLE_REQUEST),
        )
        rows = json.loads(answer)["predictions"]
        if len(rows) != 1 or rows[0]["error"]:
            raise DeployError(f"{what}: answered {answer[:300]}")
        found = rows[0]["detections"]
        if differs := difference(package.expected, found, package.score_threshold):
            raise DeployError(f"{what}: does not agree with {SAMPLE_ANSWER}: {differs}")
    print(f"{what}: {len(found)} objects found, as expected", flush=True)


def _move(client, name: str, traffic: dict, shared: dict) -> str:
    """Share the traffic anew; returns the scoring URI."""
    with step(f"the traffic of {name}"):
        endpoint = client.online_endpoints.get(name)
        now = {colour: part for colour, part in (endpoint.traffic or {}).items() if part}
        if now != {colour: part for colour, part in traffic.items() if part}:
            raise DeployError(
                f"the traffic of {name} was changed meanwhile to {shown(now)}: deploy again"
            )
        if now != shared:
            endpoint.traffic = shared
            begun = client.online_endpoints.begin_create_or_update(endpoint)
            endpoint = _wait(begun, f"the traffic of {name}")
    print(f"traffic of {name}: {shown(shared)}", flush=True)
    return endpoint.scoring_uri


def _wait(poller, what: str):
    """Wait for what Azure does, and say so now and then; returns what comes of it."""
    begin = time.monotonic()
    poller.wait(state.PROGRESS_SECONDS)
    while not poller.done():
        print(f"{what}: {poller.status()} for {time.monotonic() - begin:.0f} s", flush=True)
        poller.wait(state.PROGRESS_SECONDS)
    return poller.result()


def _tell_logs(client, name: str, colour: str) -> None:
    for kind in LOGS:
        try:
            logs = client.online_deployments.get_logs(
                name=colour, endpoint_name=name, lines=LOG_LINES, container_type=kind
            )
        except Exception as error:  # the reason to fail is another one, and is told
            logs = f"(none: {type(error).__name__})"
        print(f"--- logs of {colour}, {kind}\n{logs.rstrip()}\n---", flush=True)


def _tell_use(uri: str, name: str, where: Workspace) -> None:
    options = shlex.join(["-n", name, "-g", where.resource_group, "-w", where.workspace])
    print(
        f"scoring URI: {uri}\n"
        f"KEY=$(az ml online-endpoint get-credentials {options} --query primaryKey -o tsv)\n"
        f'curl {uri} -H "Authorization: Bearer $KEY" -H "Content-Type: image/jpeg"'
        " --data-binary @picture.jpg",
        flush=True,
    )


def _yaml(entity) -> str:
    text = io.StringIO()
    fields = entity.dump(text)  # an endpoint's returns what the others' write
    return text.getvalue().rstrip("\n") + "\n" if text.getvalue() else yaml.safe_dump(dict(fields))
