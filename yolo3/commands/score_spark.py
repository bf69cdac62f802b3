"""Score pictures on Spark."""

import click

from yolo3.deploy.spark import Scored, Scorer, Source, score, spark_session


def score_pictures(
    model: str,
    folder: str,
    table: str,
    output: str,
    master: str,
    conf: tuple[str, ...],
    env_manager: str,
    chunk: int,
    **thresholds,
) -> Scored:
    """Write what is found in a folder or a table of pictures, and tell how much that was.

    Raises ScoringError and ModelError.
    """
    source = Source(folder, table)
    given = {name: value for name, value in thresholds.items() if value is not None}
    settings = dict(_setting(text) for text in conf)
    with spark_session(master, settings) as session:
        scored = score(session, Scorer(model, given, env_manager), source, output, chunk)
    click.echo(f"{output}: {scored.written} pictures scored, {scored.before} were there before")
    if scored.failed:
        click.echo(f"{scored.failed} rows tell an error in place of detections", err=True)
    return scored


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--conf is {text!r}, expected KEY=VALUE")
    return key, value
