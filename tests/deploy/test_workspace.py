import json

import pytest

from yolo3.deploy.sdk import DeployError
from yolo3.deploy.workspace import Workspace, find_workspace


def test_what_is_given_wins_over_environment_and_file(tmp_path):
    config = {"subscription_id": "file", "resource_group": "file", "workspace_name": "file"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"scope": None}))
    environment = {"AZURE_RESOURCE_GROUP": "variable", "AZURE_SUBSCRIPTION_ID": "variable"}
    found = find_workspace({"subscription": "given", "workspace": ""}, environment, tmp_path)
    assert found == Workspace("given", "variable", "file")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DeployError, match="--resource-group or AZURE_RESOURCE_GROUP, --workspace"):
        find_workspace({"subscription": "given"}, {}, tmp_path)
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(DeployError, match="config.json: no JSON"):
        find_workspace({}, {}, tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(DeployError, match="no workspace"):
        find_workspace({}, {}, tmp_path)
