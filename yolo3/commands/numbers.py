"""Numbers that a user gives."""

import math

import click


class FiniteRange(click.FloatRange):
    """Take what `click.FloatRange` takes, but neither nan, which no bound refuses, nor infinity."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class AutoOr(click.ParamType):
    """Take `auto`, or what another type takes."""

    def __init__(self, other: click.ParamType):
        self.other = other
        self.name = f"auto|{other.name}"

    def convert(self, value, param, ctx):
        return value if value == "auto" else self.other.convert(value, param, ctx)
