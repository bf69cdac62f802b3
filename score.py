"""Serve the logged model under Azure ML's inference server: `init()` once, `run()` per request.

Its own code comes with the model; `python -m yolo3 azureml-export` checks that the two fit.
"""

import contextlib
import os
import socket
import threading
from pathlib import Path

import mlflow.pyfunc
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

BODY_SECONDS = 60  # that a client may take to send a body
SMALL_BYTES = 1 << 22  # 4 MiB; larger bodies take turns, which bounds the memory of many threads

_turns = threading.BoundedSemaphore(4)
_loaded = {}  # what init() makes ready, by name


def init():
    """Load the model, and with it the code that answers; the server starts only if that works."""
    root = Path(os.environ["AZUREML_MODEL_DIR"])
    found = list(root.rglob("MLmodel"))
    if len(found) != 1:
        raise ValueError(f"AZUREML_MODEL_DIR, {root}, holds {len(found)} files MLmodel, expected 1")
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"  # as MLflow's server: limits apply
    _loaded["model"] = mlflow.pyfunc.load_model(str(found[0].parent))  # puts its code on the path
    from yolo3.detector import service

    _loaded["service"] = service


@rawhttp
def run(request: AMLRequest) -> AMLResponse:
    """Answer one request to /score."""
    service = _loaded["service"]
    if request.method != "POST":
        status = 200 if request.method == "OPTIONS" else 405
        answer, headers = service.refusal(status, "POST a picture or JSON"), {"Allow": "POST"}
    else:
        answer, headers = _answer(service, request), {}
    return AMLResponse(answer.body, answer.status, {"Content-Type": answer.content_type, **headers})


def _answer(service, request):
    limit = service.MAX_BODY_BYTES
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return service.refusal(415, "Content-Encoding is not supported, send the bytes as they are")
    if (request.content_length or 0) > limit:
        return service.refusal(413, f"the body has more than {limit:,} bytes")
    small = (request.content_length or SMALL_BYTES + 1) <= SMALL_BYTES
    with contextlib.nullcontext() if small else _turns:
        try:
            body = _read(request, limit + 1)
        except Exception as error:  # whatever a server raises where the client stops or breaks off
            return service.refusal(400, f"the body could not be read: {type(error).__name__}")
        if len(body) > limit:
            return service.refusal(413, f"the body has more than {limit:,} bytes")
        accept = request.accept_mimetypes.best_match(service.ANSWERS, service.JSON)
        return service.respond(_loaded["model"], request.mimetype, accept, body)


def _read(request: AMLRequest, most: int) -> bytes:
    """Read so many bytes of a body; where it takes too long, as if the client had broken off."""
    client = request.environ.get("gunicorn.socket")
    if client is None:  # another server than Azure ML's on Linux
        return request.stream.read(most)
    timer = threading.Timer(BODY_SECONDS, client.shutdown, [socket.SHUT_RD])
    timer.start()
    try:
        return request.stream.read(most)
    finally:
        timer.cancel()
