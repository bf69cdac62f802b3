"""The environment of a run: the present one if it holds every pin of its lock, or a new one."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from yolo3.tracking.machine import VARIABLES, installed, pins
from yolo3.tracking.reproduce.record import LOCK, Record, ReproduceError

CHOICES = ("auto", "new", "present")
PIN = re.compile(r"[A-Za-z0-9._-]+(\[[A-Za-z0-9,._-]+\])?==[\w.!+-]+( *;.*)?")
NAMED = 3  # packages that differ, spelled out


@dataclass(frozen=True)
class Interpreter:
    """Name a Python with the packages to train with, and say where it comes from."""

    python: Path
    line: str
    new: bool

    def variables(self, recorded: dict[str, str]) -> dict[str, str]:
        """Give the environment of a process: this one's, with the variables of the record."""
        kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        if self.new:
            for name in ("PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX"):
                kept.pop(name, None)
            kept["VIRTUAL_ENV"] = str(self.python.parents[1])
        kept["PATH"] = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return kept | recorded


def find_interpreter(record: Record, choice: str, folder: Path) -> Interpreter:
    """Give a Python with the packages of the run's lock.

    choice: `auto` takes the present environment if nothing in it differs from the lock and from
    the run's Python, and makes one in the folder else; `new` makes one; `present` takes this one.
    Raises ReproduceError when it cannot be made.
    """
    lock = (record.folder / LOCK).read_text("utf-8")
    _check_lock(lock)
    differing = _differing(lock)
    wanted = _minor(record.environment.get("python", platform.python_version()))
    if wanted != _minor(platform.python_version()):
        differing.insert(0, f"Python {platform.python_version()} for {wanted}")
    if choice == "present" or (choice == "auto" and not differing):
        return Interpreter(Path(sys.executable), _told(len(pins(lock)), differing), new=False)
    return _make(record.folder / LOCK, wanted, folder)


def _told(count, differing):
    if not differing:
        return f"environment: the present one, which holds all {count} pins of the run's lock"
    more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    return f"environment: the present one, with {', '.join(differing[:NAMED])}{more}"


def _differing(lock):
    """Say which pins the present environment does not hold."""
    found = []
    for pin in pins(lock):
        version = installed(pin.name)
        if version is None or not pin.specifier.contains(version, prereleases=True):
            found.append(f"{pin.name} {version or 'missing'} for {str(pin.specifier)[2:]}")
    return found


def _minor(version):
    return ".".join(version.split(".")[:2])


def _make(lock, wanted, folder):
    """Make a virtual environment of the lock, with the run's Python where there is one."""
    python = _python(wanted)
    told = "" if python else f"; Python {wanted} is not on the path"
    version = wanted if python else _minor(platform.python_version())
    print(f"environment: installing the run's lock for Python {version}, minutes", flush=True)
    own = folder / "bin" / "python"
    _run([python or sys.executable, "-m", "venv", str(folder)])
    _run([str(own), "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", str(lock)])
    return Interpreter(
        own, f"environment: a new one of the run's lock, Python {version}{told}", new=True
    )


def _check_lock(lock):
    """Refuse a lock that holds anything but pins, such as an address or an option of pip."""
    for number, line in enumerate(lock.splitlines(), start=1):
        text = line.split("#")[0].strip()
        if text and not PIN.fullmatch(text):
            raise ReproduceError(f"the run's {LOCK}:{number}: expected NAME==VERSION, got {text!r}")


def _python(wanted):
    """Find the Python of a minor version, None where there is none that runs."""
    if wanted == _minor(platform.python_version()):
        return sys.executable
    found = shutil.which(f"python{wanted}")
    if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
        return found
    return None


def _run(command):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ReproduceError(f"the run's environment cannot be made: {said}")
