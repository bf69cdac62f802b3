"""Malformed requests to the exported folder's own server: `python -m benchmarks.malformed.server`.

Prints the answers by status, and the server's memory; an answer of 500 or 502 is a defect.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.servers import free_port, running_server
from yolo3.evaluation.machine import describe

TYPES = (
    "application/json",
    "image/jpeg",
    "application/octet-stream",
    "text/plain",
    "",
    "image/\xe9",
)
ACCEPTED = ("application/json", "image/png", "image/jpeg", "*/*", ";q=")
WARM_UP = 200  # requests, after which memory is measured first
ALLOWED = {200, 400, 405, 413, 415, 503}


@click.command(context_settings={"show_default": True})
@click.option("--examples", default=10_000, type=click.IntRange(1), help="Requests.")
@click.option("--seed", default=1, help="Other seeds, other requests.")
def main(examples, seed):
    """Send malformed requests to score.py under Azure ML's inference server."""
    from benchmarks.malformed.entries import saved_model
    from benchmarks.malformed.inputs import for_each
    from yolo3.deploy.package import export_package

    print(describe())
    statuses, memory, defects = Counter(), [], []
    with tempfile.TemporaryDirectory() as temporary:
        package = export_package(str(saved_model()), Path(temporary) / "package")
        with _server(package.folder, Path(temporary) / "log.txt") as (port, process):

            def send(request):
                status = _status(port, *request)
                statuses[status] += 1
                if statuses.total() == WARM_UP:
                    memory.append(_memory(process))
                if status not in ALLOWED:
                    defects.append((status, *request))

            for_each(_requests(), send, examples, seed)
            memory.append(_memory(process))
    for status, count in sorted(statuses.items(), key=str):
        print(f"{status}: {count:,}")
    print("memory:", " -> ".join(f"{size / 1e6:,.0f} MB" for size in memory))
    for defect in defects[:20]:
        print(str(defect)[:300])
    sys.exit(bool(defects))


def _requests():
    """Draw (Content-Type, Accept, body): bodies of JSON, of tables and of images."""
    from hypothesis import strategies as st

    from benchmarks.malformed import inputs

    tables = inputs.requests().map(_for_score)
    pictures = inputs.pictures().map(lambda sample: ("image/jpeg", sample.files["a.jpg"]))
    typed = st.one_of(tables, tables, tables, pictures)
    other = st.one_of(st.none(), st.none(), st.none(), st.sampled_from(TYPES))
    return st.builds(
        lambda drawn, kind, accept: (drawn[0] if kind is None else kind, accept, drawn[1]),
        typed,
        other,
        st.sampled_from(ACCEPTED),
    )


def _for_score(sample) -> tuple[str, bytes]:
    """Turn a request to MLflow's server into one that score.py takes, as far as it is one."""
    if sample.form == "table":
        rows, params = json.loads(sample.files["rows.json"])
        body = {"input_data": {"columns": ["image"], "data": [[row] for row in rows]}}
        return TYPES[0], json.dumps(body | {"params": params}).encode()
    return TYPES[0], sample.files["body.json"].replace(b'"instances"', b'"input_data"')


@contextmanager
def _server(folder: Path, log: Path):
    """Run the command of the folder's README; yield its port and its process."""
    from yolo3.deploy.texts import SERVE

    port = free_port()
    command = ["bash", "-c", f"exec env {SERVE.replace(':5001', f':{port}')}"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    health = f"http://127.0.0.1:{port}/"
    with running_server(command, health, log, cwd=folder, env=variables) as server:
        yield port, server


def _status(port, content_type, accept, body) -> int | str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/score", body, {"Content-Type": content_type, "Accept": accept})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def _memory(server: subprocess.Popen) -> int:
    """Sum what the server's processes hold."""
    import psutil

    process = psutil.Process(server.pid)
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))


if __name__ == "__main__":
    main()
