"""The benchmarks are run by hand; what they import must still be there when somebody does."""

import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def imported(file):
    """Name what a file imports of this project, also inside its functions."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in (
            "benchmarks",
            "yolo3",
        ):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("file", sorted(BENCHMARKS.rglob("*.py")), ids=lambda file: file.stem)
def test_what_a_benchmark_imports_is_there(file):
    for module, name in imported(file):
        found = importlib.import_module(module)
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
