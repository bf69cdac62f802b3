"""Let a version of a registered model take the champion's place, if it is not worse."""

import click

from yolo3.commands.errors import explain_errors

CHAMPION, REFUSED, UNUSABLE = 0, 1, 2  # exit status


def run_promote(
    name: str, challenger: str, annotation_path: str, classes_path: str, force: str, **limits
) -> int:
    """Compare, and move the alias or not; returns the exit status.

    Raises click.ClickException with the status UNUSABLE where nothing could be compared.
    """
    from yolo3.evaluation.comparison import Rule
    from yolo3.tracking.promote import promote

    try:
        rule = explain_errors(Rule)(**limits)
        moved = explain_errors(promote)(
            name, challenger, annotation_path, classes_path, rule, force == "true"
        )
    except click.ClickException as error:
        error.exit_code = UNUSABLE
        raise
    return CHAMPION if moved else REFUSED
