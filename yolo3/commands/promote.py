"""Let a version of a registered model take the champion's place, if it is not worse."""

from yolo3.commands.errors import explain_errors

CHAMPION, REFUSED, UNUSABLE = 0, 1, 2  # exit status


def run_promote(
    name: str, challenger: str, annotation_path: str, classes_path: str, force: str, **limits
) -> int:
    """Compare, and move the alias or not; returns the exit status.

    Whatever keeps them from being compared exits with UNUSABLE.
    """

    def compare() -> bool:
        from yolo3.evaluation.comparison import Rule
        from yolo3.tracking.promote import promote

        rule = Rule(**limits)
        return promote(name, challenger, annotation_path, classes_path, rule, force == "true")

    return CHAMPION if explain_errors(compare, UNUSABLE)() else REFUSED
