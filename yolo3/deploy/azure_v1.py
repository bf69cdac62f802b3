"""The same folder by azureml-core, the SDK that `mlflow azureml` was made with; its support ended.

azureml-core wants older versions of some packages than the lock has: it goes into an environment
of its own, with the extra `azureml-v1`.
"""

from dataclasses import dataclass

from yolo3.deploy.package import CODE, CONDA, MODEL, SCRIPT, Package
from yolo3.deploy.sdk import DeployError, need, step
from yolo3.deploy.workspace import Workspace

EXTRA = "azureml-v1"
SUPPORT = "azureml-core: its maker ended support on 2026-06-30; sdk v2 is the default, and kept"
CORES, MEMORY_GB = 2, 4  # of the container instance


@dataclass(frozen=True)
class Built:
    """Hold what is made of a package without asking anybody, as azureml-core has it."""

    environment: object
    inference: object
    deployment: object


def build(package: Package, name: str) -> Built:
    """Make environment, inference and deployment configuration. Raises DeployError."""
    need("azureml.core", EXTRA)
    from azureml.core import Environment
    from azureml.core.model import InferenceConfig
    from azureml.core.webservice import AciWebservice

    with step("the exported files"):
        conda = str(package.folder / CONDA)
        environment = Environment.from_conda_specification(name, conda)
        environment.docker.base_image = package.image
        inference = InferenceConfig(
            entry_script=SCRIPT.name,
            source_directory=str(package.folder / CODE),
            environment=environment,
        )
        deployment = AciWebservice.deploy_configuration(
            cpu_cores=CORES,
            memory_gb=MEMORY_GB,
            auth_enabled=True,
            tags={"package": package.digest},
        )
    return Built(environment, inference, deployment)


def deploy(package: Package, where: Workspace | None, name: str) -> None:
    """Deploy a package as a container instance, or without a workspace only tell what would be.

    Raises DeployError, after the service's own logs where it did not come up.
    """
    print(SUPPORT, flush=True)
    built = build(package, name)
    if where is None:
        print(_in_words(built))
        return
    from azureml.core import Model
    from azureml.core import Workspace as WorkspaceV1

    with step(f"workspace {where.workspace}"):
        workspace = WorkspaceV1(where.subscription, where.resource_group, where.workspace)
    with step(f"model {name}"):
        model = Model.register(workspace, str(package.folder / MODEL), name)
    with step(f"service {name}"):
        service = Model.deploy(
            workspace, name, [model], built.inference, built.deployment, overwrite=True
        )
    try:
        with step(f"service {name}"):
            service.wait_for_deployment(show_output=True)
    except DeployError:
        print(f"--- logs of {name}\n{service.get_logs()}\n---", flush=True)
        raise
    print(f"scoring URI: {service.scoring_uri}", flush=True)


def _in_words(built: Built) -> str:
    deployment = built.deployment
    return (
        f"environment {built.environment.name} on {built.environment.docker.base_image}:\n"
        f"{built.environment.python.conda_dependencies.serialize_to_string()}"
        f"service: {built.inference.entry_script} on {deployment.cpu_cores} cores with "
        f"{deployment.memory_gb} GB, with a key: {deployment.auth_enabled}"
    )
