"""Which Azure ML workspace is meant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yolo3.deploy.sdk import DeployError

CONFIG = "config.json"
_FIELDS = {  # as commands call it -> environment variable, and key in Azure's config.json
    "subscription": ("AZURE_SUBSCRIPTION_ID", "subscription_id"),
    "resource_group": ("AZURE_RESOURCE_GROUP", "resource_group"),
    "workspace": ("AZURE_WORKSPACE", "workspace_name"),
}


@dataclass(frozen=True)
class Workspace:
    """Name a workspace."""

    subscription: str
    resource_group: str
    workspace: str


def find_workspace(given: Mapping[str, str], environment: Mapping, folder: Path) -> Workspace:
    """Take each part from what was given, the environment, or Azure's config.json in the folder.

    Raises DeployError that names what is missing, and where it may stand.
    """
    config = _read_config(folder / CONFIG)
    found = {
        name: given.get(name) or environment.get(variable) or config.get(key, "")
        for name, (variable, key) in _FIELDS.items()
    }
    if missing := [name for name, value in found.items() if not value]:
        named = ", ".join(f"--{name.replace('_', '-')} or {_FIELDS[name][0]}" for name in missing)
        raise DeployError(
            f"no workspace: expected {named}, or a {CONFIG} from the workspace's page here"
        )
    return Workspace(**found)


def _read_config(file: Path) -> dict:
    if not file.is_file():
        return {}
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise DeployError(f"{file}: no JSON: {error}") from error
    return {k: v for k, v in config.items() if isinstance(v, str)} if config else {}
