"""The model registry: versions of a registered model, and the aliases that say which one serves."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import mlflow
import mlflow.models
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from yolo3.detector.load import model_uri

CHAMPION, PREVIOUS = "champion", "previous"  # aliases: what serves, and what served before it
_MOST_LISTED = 10


class RegistryError(ValueError):
    """Say in a sentence what the registry has not, or does not take."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    name: str
    number: str
    run_id: str | None
    source: str  # where MLflow has the model: models:/m-…

    @property
    def uri(self) -> str:
        """Return the URI that loads exactly this version."""
        return f"models:/{self.name}/{self.number}"


class Registry:
    """A registered model in the registry that MLflow is set to. All methods raise RegistryError."""

    def __init__(self, name: str):
        self.name = name
        self._client = MlflowClient()
        with _told(f"the registry at {mlflow.get_registry_uri()} does not answer"):
            found = self._client.search_registered_models(filter_string=f"name = {quoted(name)}")
        if name not in [model.name for model in found]:
            raise RegistryError(
                f"no registered model {name!r} at {mlflow.get_registry_uri()}{self._others()}; "
                "a training registers its model with registered_model_name"
            )

    def champion(self) -> Version | None:
        """Return the version with the alias `champion`, None where no version has it."""
        number = self._aliases().get(CHAMPION)
        if number is None:
            return None
        if number not in self._versions():
            raise RegistryError(
                f"alias {CHAMPION!r} of {self.name!r} names version {number}, which is deleted; "
                "remove the alias and promote again: mlflow.MlflowClient()"
                f".delete_registered_model_alias({self.name!r}, {CHAMPION!r})"
            )
        return self._versions()[number]

    def find(self, wanted: str) -> Version:
        """Return the version that is wanted: a number, an alias, a URI, or '' for the newest."""
        versions = self._versions()
        if not versions:
            raise RegistryError(f"registered model {self.name!r} has no version yet")
        number = self._number_of(wanted, versions)
        if number in versions:
            return versions[number]
        aliases = ", ".join(self._aliases()) or "none"
        raise RegistryError(
            f"no version {wanted!r} of {self.name!r}: expected one of its versions "
            f"({_listed(versions)}), one of its aliases ({aliases}), "
            "or the URI of a model that is registered under it"
        )

    def promote(self, challenger: Version, champion: Version | None) -> None:
        """Move `champion` to the challenger, and `previous` to the champion that was compared.

        Refuses where another version has become champion meanwhile.
        """
        now = self.champion()
        if now != champion:
            raise RegistryError(
                f"{_named(now)} became champion of {self.name!r} while {_named(champion)} was "
                "compared; compare again"
            )
        with _told(f"the aliases of {self.name!r} could not be moved"):
            if champion:
                self._client.set_registered_model_alias(self.name, PREVIOUS, champion.number)
            self._client.set_registered_model_alias(self.name, CHAMPION, challenger.number)

    def tag(self, version: Version, tags: dict[str, str]) -> None:
        """Set tags of a version."""
        with _told(f"version {version.number} of {self.name!r} could not be tagged"):
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, version.number, key, value)

    def _aliases(self) -> dict[str, str]:
        with _told(f"the aliases of {self.name!r} cannot be read"):
            aliases = self._client.get_registered_model(self.name).aliases
        return {alias: str(number) for alias, number in aliases.items()}

    def _versions(self) -> dict[str, Version]:
        """Return all versions by number, the newest first."""
        with _told(f"the versions of {self.name!r} cannot be read"):
            found = self._client.search_model_versions(f"name = {quoted(self.name)}")
        ordered = sorted(found, key=lambda version: -int(version.version))
        return {
            str(version.version): Version(
                self.name, str(version.version), version.run_id or None, version.source
            )
            for version in ordered
        }

    def _number_of(self, wanted: str, versions: dict[str, Version]) -> str:
        """Return the number of the version that is meant; of what it cannot tell, the text."""
        prefix = f"models:/{self.name}"
        if wanted.startswith((f"{prefix}/", f"{prefix}@")):
            wanted_here = wanted[len(prefix) + 1 :]
        else:
            wanted_here = wanted
        if wanted_here in ("", "latest"):
            return next(iter(versions))
        if re.match(r"(runs:/|models:/|m-)", wanted_here):
            return self._number_of_model(wanted_here, versions)
        return self._aliases().get(wanted_here, wanted_here)

    def _number_of_model(self, uri: str, versions: dict[str, Version]) -> str:
        """Return the newest version that was made of a logged model."""
        with _told(f"no model at {uri!r}"):
            model_id = mlflow.models.get_model_info(model_uri(uri)).model_id
        source = f"models:/{model_id}"
        return next((n for n, version in versions.items() if version.source == source), uri)

    def _others(self) -> str:
        with _told(f"the registry at {mlflow.get_registry_uri()} does not answer"):
            found = self._client.search_registered_models(max_results=_MOST_LISTED)
        return f" (there are: {_listed([model.name for model in found])})" if found else ""


def _named(version: Version | None) -> str:
    return f"version {version.number}" if version else "no version"


def _listed(names) -> str:
    shown = list(names)[:_MOST_LISTED]
    return ", ".join(shown) + (", …" if len(list(names)) > len(shown) else "")


def check_name(name: str) -> None:
    """Raise RegistryError for a name that no registered model can have, or be sought by."""
    if not name.strip() or name.startswith(".") or set(name) & set("/:"):
        raise RegistryError(
            f"registered_model_name is {name!r}: expected a name without / and : that does not"
            " begin with a dot"
        )
    quoted(name)


def quoted(name: str) -> str:
    """Quote a name for MLflow's filters, which know no escapes."""
    if "'" in name and '"' in name:
        raise RegistryError(f"{name!r}: a name with both kinds of quotes cannot be sought")
    return f'"{name}"' if "'" in name else f"'{name}'"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn MLflow's errors into a sentence of this project."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{what}: {error}") from error
