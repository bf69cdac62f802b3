"""What MLflow's page of a run says first: how good its models are, and how to use one."""

from collections.abc import Mapping

CLASSES = 20  # at most, to be told: a tag holds 8000 characters


def training_note(
    run_id: str, models: Mapping[str, str], metrics: Mapping[str, float], pictures: int
) -> str:
    """Describe a training by what it ends with, or one of its models.

    models: name of each logged model, the last one last, by the prefix of its metrics.
    pictures: number of validation pictures.
    """
    prefix, final = list(models.items())[-1]
    stage = prefix.removesuffix("_") or "finetune"
    rows = "\n".join(
        f"| `{name}` | {metrics[f'{each}AP50']:.3f} | {metrics[f'{each}AP']:.3f} |"
        for each, name in models.items()
    )
    classes = sorted(
        (value, name.removeprefix(f"{prefix}AP50_"))
        for name, value in metrics.items()
        if name.startswith(f"{prefix}AP50_")
    )
    told = ", ".join(f"{name} {value:.3f}" for value, name in classes[:CLASSES]) or "none has a box"
    more = f" and {len(classes) - CLASSES} better ones" if len(classes) > CLASSES else ""
    held_out = ""
    if "test_AP50" in metrics and not prefix:
        numbers = f"AP50 {metrics['test_AP50']:.3f}, AP {metrics['test_AP']:.3f}"
        held_out = f"\nOn the held-out test images, `{final}` has {numbers}."
    return f"""\
| model | AP50 | AP |
| --- | --- | --- |
{rows}

Measured on the {pictures} validation images.{held_out}
AP50 of `{final}` by class, lowest first: {told}{more}.

    python -m yolo3 detect --model runs:/{run_id}/{final} --input PICTURE --output found

What it finds and misses, worst first: `evaluation/{stage}/gallery` among the run's artifacts.
"""
