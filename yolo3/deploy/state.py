"""What an endpoint of Azure ML is doing: its deployments, its traffic, operations in progress."""

import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from yolo3.deploy.sdk import DeployError, need, step
from yolo3.training.interrupt import Interrupted

EXTRA = "azure"
SUCCEEDED = "succeeded"
PROGRESS_SECONDS = 15
BUSY_SECONDS = 3600  # that operations in progress are waited for; a new image takes some 20 minutes
_BUSY = ("creating", "updating", "scaling", "deleting")


def look(client, name: str) -> tuple[object | None, dict[str, object]]:
    """Return an endpoint, None if there is none, and its deployments by name."""
    errors = need("azure.core.exceptions", EXTRA)
    with step(f"looking for endpoint {name}"):
        try:
            endpoint = client.online_endpoints.get(name)
        except errors.ResourceNotFoundError:
            client.workspaces.get()  # raises if it is the workspace that there is none of
            return None, {}
        return endpoint, {found.name: found for found in client.online_deployments.list(name)}


def look_when_settled(client, name: str) -> tuple[object | None, dict[str, object]]:
    """Wait until Azure changes nothing of an endpoint any more, and return what `look` does.

    Raises DeployError where that takes more than BUSY_SECONDS.
    """
    begin = time.monotonic()
    while True:
        endpoint, present = look(client, name)
        parts = {f"endpoint {name}": endpoint} if endpoint else {}
        parts |= {f"deployment {colour}": deployment for colour, deployment in present.items()}
        busy = [f"{part} is {state_of(each)}" for part, each in parts.items() if _is_busy(each)]
        if not busy:
            return endpoint, present
        waited = time.monotonic() - begin
        if waited > BUSY_SECONDS:
            raise DeployError(f"{busy[0]} for {waited / 60:.0f} minutes: see the endpoint's page")
        print(f"{', '.join(busy)}: waiting for {waited:.0f} s", flush=True)
        time.sleep(PROGRESS_SECONDS)


def _is_busy(entity) -> bool:
    return state_of(entity) in _BUSY


def state_of(entity) -> str:
    """Name the state that Azure last gave an endpoint or deployment."""
    state = entity.provisioning_state  # a text, or an enumeration's member
    return str(getattr(state, "value", state) or "unknown").lower()


def shown(traffic: dict) -> str:
    """Write how an endpoint's traffic is shared."""
    parts = [f"{colour} {part} %" for colour, part in sorted(traffic.items()) if part]
    return ", ".join(parts) or "none"


@contextmanager
def report_when_interrupted(client, name: str) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block; print what is left then, and raise Interrupted.

    A second Ctrl-C ends that at once, but not a SIGTERM: `mlflow run` sends one after Ctrl-C.
    Works in the main thread only, where Python handles signals; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = []

    def interrupt(number, _):
        came.append(number)
        if number == signal.SIGINT or len(came) == 1:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    except KeyboardInterrupt:
        _report_state(client, name)
        raise Interrupted from None
    finally:
        for number, handler in zip(numbers, earlier, strict=True):
            signal.signal(number, handler)


def _report_state(client, name: str) -> None:
    print("interrupted; what Azure has begun, it ends. Ctrl-C again ends at once", flush=True)
    try:
        endpoint, present = look(client, name)
    except DeployError as error:
        print(f"what is left is not known: {error}")
    else:
        if endpoint is None:
            print(f"endpoint {name}: there is none")
        else:
            print(f"endpoint {name}: {state_of(endpoint)}, traffic {shown(endpoint.traffic or {})}")
        for colour, deployment in sorted(present.items()):
            machines = f"{deployment.instance_count} x {deployment.instance_type}"
            print(f"deployment {colour}: {state_of(deployment)}, {machines}")
    again = shlex.join(["python", "-m", "yolo3", *sys.argv[1:]])
    print(f"to continue, repeat\n  {again}", flush=True)
