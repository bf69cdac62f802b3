import pytest

from yolo3.deploy.sdk import DeployError, need, step


def test_a_missing_package_names_the_extra():
    with pytest.raises(DeployError, match=r"the extra 'azure'.*\[azure\]"):
        need("azure.missing", "azure")
    assert need("json", "azure").loads("1") == 1


def test_a_step_tells_what_failed_in_one_line():
    with pytest.raises(DeployError, match=r"^model a:1: first second$"), step("model a:1"):
        raise RuntimeError("first\n\n   second\n")
    with pytest.raises(DeployError, match=r"^model a:1: KeyError$"), step("model a:1"):
        raise KeyError
    with pytest.raises(DeployError, match=r"^inner$"), step("outer"):
        raise DeployError("inner")
