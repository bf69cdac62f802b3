"""Blue and green: which deployment of an endpoint is written, and how traffic is shared."""

from collections.abc import Mapping

from yolo3.deploy.package import BLUE, GREEN
from yolo3.deploy.sdk import DeployError

Traffic = Mapping[str, int]  # deployment -> per cent of the endpoint's requests


def choose_colour(traffic: Traffic, same: str | None) -> str:
    """Name the deployment to write: the one that holds the same already, or one without traffic.

    Raises DeployError where both take traffic.
    """
    if same:
        return same
    idle = [colour for colour in (BLUE, GREEN) if not traffic.get(colour)]
    if not idle:
        raise DeployError(
            f"both {BLUE} ({traffic[BLUE]} %) and {GREEN} ({traffic[GREEN]} %) take traffic: give"
            " one of them all of it first, by deploying what it serves with traffic 100"
        )
    return idle[0]


def share_traffic(traffic: Traffic, colour: str, percent: int) -> dict[str, int]:
    """Give a deployment its part; the others keep the rest, in the proportions that they had.

    Raises DeployError where no other deployment could take the rest.
    """
    others = {name: part for name, part in traffic.items() if name != colour and part > 0}
    rest = 100 - percent
    if rest and not others:
        if not percent and not traffic.get(colour):
            return {}
        raise DeployError(
            f"no other deployment of the endpoint takes traffic, so nothing could take the other"
            f" {rest} %: expected traffic 100, or 0 for a new endpoint that is to take none"
        )
    shared = _divide(rest, others)
    if percent:
        shared[colour] = percent
    return shared


def _divide(whole: int, parts: Traffic) -> dict[str, int]:
    """Divide whole per cents in proportion, the largest remainders rounded up."""
    if not whole:
        return {}
    total = sum(parts.values())
    exact = {name: whole * part / total for name, part in parts.items()}
    divided = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: divided[name] - exact[name])
    for name in by_remainder[: whole - sum(divided.values())]:
        divided[name] += 1
    return {name: part for name, part in divided.items() if part}
