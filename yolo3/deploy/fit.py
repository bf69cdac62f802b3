"""Does `score.py` find what it imports, in the model that it is to serve?"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

SERVER = "azureml_inference_server_http"
_OWN = "yolo3"


class MisfitError(ValueError):
    """Say which import of a scoring script the model, or its server, cannot serve."""


def check_fit(script: Path, code: Path) -> None:
    """Hold a scoring script against the code folder that a model carries.

    It may import the standard library, MLflow, the inference server, and of this project what lies
    in `code`, and use of it names that are defined there. Raises MisfitError with the line that
    does not fit.
    """
    for line, module, names in _imports(script):
        place = f"{script.name}:{line}"
        root = module.partition(".")[0]
        if not root:
            raise MisfitError(f"{place}: imports a neighbour, and stands alone in an export")
        if root == _OWN:
            _check_own(place, module, names, code)
            for name in names:
                if file := _file_of(f"{module}.{name}", code):
                    _check_uses(script, name, file)
        elif root not in sys.stdlib_module_names and root not in ("mlflow", SERVER):
            raise MisfitError(f"{place}: imports {module}, which the model's code does not carry")


def _check_own(place: str, module: str, names: Sequence[str], code: Path) -> None:
    file = _file_of(module, code)
    if file is None:
        raise MisfitError(
            f"{place}: imports {module}, which the model does not carry: it was logged by another"
            " version of this project; log it again with this one, or export with that one"
        )
    defined = _defined(file)
    for name in names:
        if name not in defined and _file_of(f"{module}.{name}", code) is None:
            raise MisfitError(f"{place}: imports {name} of {module}, which has none in the model")


def _check_uses(script: Path, module: str, file: Path) -> None:
    """Check what the script takes of a module of the model by the module's name: `module.name`."""
    defined = _defined(file)
    for node in ast.walk(ast.parse(script.read_text("utf-8"), script.name)):
        match node:
            case ast.Attribute(value=ast.Name(id=name)) if name == module:
                if node.attr not in defined:
                    place = f"{script.name}:{node.lineno}"
                    raise MisfitError(f"{place}: takes {node.attr} of {module}, which has none")


def _imports(script: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Give line, module and names of each import, wherever it stands."""
    for node in ast.walk(ast.parse(script.read_text("utf-8"), script.name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            module = "" if node.level else node.module
            yield node.lineno, module, [alias.name for alias in node.names]


def _file_of(module: str, code: Path) -> Path | None:
    place = code.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _defined(file: Path) -> set[str]:
    """Name what a module defines at its top level."""
    defined: set[str] = set()
    for node in ast.parse(file.read_text("utf-8"), file.name).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined.update(target.id for target in targets if isinstance(target, ast.Name))
    return defined
