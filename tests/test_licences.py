import re
from importlib import metadata

import pytest
from job_cases import PROJECT
from packaging.requirements import Requirement


def rows():
    lines = (PROJECT / "docs/licences.md").read_text("utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {name: (version, licence) for name, version, licence in cells[2:]}


def test_the_page_lists_exactly_the_lock():
    pins = [Requirement(line) for line in (PROJECT / "requirements.txt").read_text().splitlines()]
    expected = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    assert {name: version for name, (version, _) in rows().items()} == expected


def test_no_licence_is_unknown_or_forbids_what_mit_allows():
    for name, (_, licence) in rows().items():
        assert "not said" not in licence, name
        strict = re.search(r"\bA?GPL|GNU (Affero )?General", licence)
        assert not strict, f"{name}: {licence}"


@pytest.mark.parametrize("name", ["keras", "mlflow", "filelock", "defusedxml"])
def test_the_page_says_what_the_packages_say(name):
    said = metadata.metadata(name)
    texts = [said.get("License-Expression"), *(said.get_all("Classifier") or [])]
    assert any(rows()[name][1] in text for text in texts if text) or said.get("License")
