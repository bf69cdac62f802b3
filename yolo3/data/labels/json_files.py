"""JSON files of labels: parsed, and sorted by their format."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from yolo3.data.labels.policy import BadLabel, Draft


def parse_json(path: Path) -> object:
    """Read a JSON file in UTF-8, with or without a byte order mark; raises BadLabel."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise BadLabel(f"line {error.lineno} is not JSON ({error.msg})") from None
    except (ValueError, RecursionError):  # no UTF-8, or numbers or nesting that nothing needs
        raise BadLabel("is not JSON in UTF-8") from None
    except OSError as error:
        raise BadLabel(f"cannot be read ({error.strerror})") from None


def documents(
    draft: Draft, is_one: Callable[[object], int], title: str
) -> Iterator[tuple[Path, Any]]:
    """Give the JSON files of one format; others are noted, and unreadable ones left out."""
    for path in draft.label_files(".json"):
        try:
            document = parse_json(path)
        except BadLabel as error:
            draft.leave_out_label(error.kind, path, str(error))
            continue
        if is_one(document):
            yield path, document
        else:
            draft.note("labels_foreign", f"{draft.tree.named(path)}: is no {title} file")
