"""What MLflow's page of a run says first: how good its models are, and how to use one."""

from collections.abc import Mapping

NOTE = "mlflow.note.content"  # a tag: the run's description, in markdown
CLASSES = 20  # at most, to be told: a tag holds 8000 characters


def training_note(
    run_id: str, models: Mapping[str, str], metrics: Mapping[str, float], pictures: int
) -> str:
    """Describe a training by what it ends with.

    models: name of each logged model, the last one last, by the prefix of its metrics.
    pictures: number of validation pictures.
    """
    *_, final = models.values()
    rows = "\n".join(
        f"| `{name}` | {' | '.join(f'{metrics[prefix + key]:.3f}' for key in ('AP50', 'AP'))} |"
        for prefix, name in models.items()
    )
    classes = sorted(
        (value, name.removeprefix("AP50_"))
        for name, value in metrics.items()
        if name.startswith("AP50_")
    )
    told = ", ".join(f"{name} {value:.3f}" for value, name in classes[:CLASSES]) or "none has a box"
    more = f" and {len(classes) - CLASSES} better ones" if len(classes) > CLASSES else ""
    return f"""\
| model | AP50 | AP |
| --- | --- | --- |
{rows}

Measured on the {pictures} validation pictures, by which the best epochs were chosen.
AP50 of the last by class, lowest first: {told}{more}.

    python -m yolo3 detect --model runs:/{run_id}/{final} --input PICTURE --output found

What it finds and misses, worst pictures first: `evaluation/finetune/gallery` among the artifacts.
"""
