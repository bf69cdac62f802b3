"""The real azureml-core, in a folder of its own: it wants older packages than the lock has."""

import os
import subprocess
import sys
import tomllib

import pytest
from job_cases import PROJECT

from yolo3.deploy.azure_v1 import build
from yolo3.deploy.sdk import DeployError

pytestmark = pytest.mark.slow

BUILD = """
import sys
from pathlib import Path
from yolo3.deploy.azure_v1 import build
from yolo3.deploy.package import read_package
built = build(read_package(Path(sys.argv[1])), "my-detector")
pip = sorted(built.environment.python.conda_dependencies.pip_packages)
script, folder = built.inference.entry_script, Path(built.inference.source_directory)
assert built.inference.environment is built.environment
print((folder / script).read_text() == (Path(sys.argv[1]) / "code" / "score.py").read_text())
print("\\n".join(pip))
print(built.deployment.auth_enabled, built.deployment.cpu_cores, built.deployment.memory_gb)
built.inference.validate_configuration()
built.deployment.validate_configuration()
print("--- told")
from yolo3.commands.main import main
main(["azureml-deploy", "--package", sys.argv[1], "-n", "my-detector", "--sdk", "v1", "--dry-run"])
"""


@pytest.fixture(scope="module")
def with_v1(tmp_path_factory):
    """Give an environment whose Python finds the extra's packages before all others."""
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = extras["optional-dependencies"]["azureml-v1"]
    folder = tmp_path_factory.mktemp("azureml-v1")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, timeout=600)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"azureml-core cannot be installed here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(PROJECT)))}


def test_what_needs_no_account_is_built_with_the_real_package(with_v1, package):
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(package.folder)],
        env=with_v1,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    built, _, told = done.stdout.partition("--- told\n")
    pins = (package.folder / "requirements.txt").read_text().splitlines()
    assert built.splitlines()[-2 - len(pins) :] == ["True", *sorted(pins), "True 2 4"]
    first, second, *_ = told.splitlines()
    assert "ended support on 2026-06-30" in first and "v2 is the default" in first
    assert second.startswith("environment my-detector on mcr.microsoft.com/azureml/")
    assert "service: score.py on 2 cores with 4 GB" in told


def test_without_the_package_the_extra_is_named(package):
    with pytest.raises(DeployError, match="the extra 'azureml-v1'"):
        build(package, "my-detector")
