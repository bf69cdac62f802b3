"""Records that tests change."""

from dataclasses import replace

from yolo3.tracking.reproduce.record import Record, read_record


def record_of(trained, folder) -> Record:
    """Read the record of a training into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return read_record(trained.client, trained.run_id, folder)


def changed(record: Record, **fields) -> Record:
    """Copy a record with entries of its dictionaries changed, or whole fields; {} empties one."""
    whole = {
        name: getattr(record, name) | value if isinstance(value, dict) and value else value
        for name, value in fields.items()
    }
    return replace(record, **whole)
