"""Try malformed inputs and tell what became of them: `python -m benchmarks.malformed --help`.

Each kind runs in a process of its own, with a limit to its memory, so that a crash is told and does
not end the rest. The inputs are drawn by hypothesis, the same ones for the same number and seed.
"""

import json
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from yolo3.evaluation.machine import describe

MEMORY_BYTES = 3 << 30  # that reading may take beyond what a process has with its libraries loaded
COLUMNS = ("tried", "accepted", "refused", "before", "defect")


@click.command(context_settings={"show_default": True})
@click.option("--examples", default=2400, type=click.IntRange(6), help="Inputs of all kinds.")
@click.option("--seed", default=1, help="Other seeds, other inputs.")
@click.option("--only", default="", help="One kind of them.")
@click.option("--output", default="logs/malformed", type=click.Path(path_type=Path))
@click.option("--inside", is_flag=True, hidden=True)
def main(examples, seed, only, output, inside):
    """Print how many inputs of each kind were read, refused with a sentence, or neither."""
    from benchmarks.malformed.inputs import KINDS

    output.mkdir(parents=True, exist_ok=True)
    if inside:
        _try_kind(only, examples, seed, output)
        return
    print(describe())
    kinds = [only] if only else list(KINDS)
    rows = {kind: _in_process(kind, -(-examples // len(kinds)), seed, output) for kind in kinds}
    table = _table(rows)
    print(table)
    for kind, row in rows.items():
        for message in row["defects"]:
            print(f"{kind}: {message}")
    (output / "outcomes.md").write_text(table + "\n", "utf-8")
    (output / "outcomes.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")
    sys.exit(any(row["defect"] for row in rows.values()))


def _in_process(kind: str, examples: int, seed: int, output: Path) -> dict:
    """Try one kind; what ends the process is one more defect."""
    words = ["--examples", str(examples), "--seed", str(seed), "--output", str(output)]
    command = [sys.executable, "-m", "benchmarks.malformed", "--inside", "--only", kind, *words]
    done = subprocess.run(command, check=False)
    row = json.loads((output / f"{kind}.json").read_text("utf-8"))
    if done.returncode:
        row["tried"] += 1
        row["defect"] += 1
        row["defects"].append(f"the process ended with {done.returncode}; see {output / kind}")
    return row


def _try_kind(kind: str, examples: int, seed: int, output: Path) -> None:
    """Try one kind in this process, and keep count in a file after each input."""
    from benchmarks.malformed.entries import DEFECT, saved_model, served_model, try_sample
    from benchmarks.malformed.inputs import KINDS, for_each

    counts, messages, defects = Counter(), Counter(), []
    kept = output / kind
    kept.mkdir(exist_ok=True)
    _keep(output / f"{kind}.json", counts, messages, defects)
    if kind == "requests":
        served_model()
    elif kind == "weights":
        saved_model()
    _limit_memory()

    def attempt(sample):
        for name, data in sample.files.items():
            (kept / name.replace("/", "_")).write_bytes(data)
        with tempfile.TemporaryDirectory() as folder:
            outcome = try_sample(sample, Path(folder))
        counts.update(["tried", outcome.verdict, f"form {sample.form}"])
        messages[_pattern(outcome.message, folder)] += 1
        if outcome.verdict == DEFECT:
            defects.append(f"{sample.form} {list(sample.files)}: {outcome.message}")
            for name, data in sample.files.items():
                (kept / f"defect-{len(defects)}-{name.replace('/', '_')}").write_bytes(data)
        _keep(output / f"{kind}.json", counts, messages, defects)

    for_each(KINDS[kind](), attempt, examples, seed)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _pattern(message: str, folder: str) -> str:
    """Shorten a message to what it has in common with others of its sort."""
    return re.sub(r"\d+", "0", message.replace(folder, ""))[:60]


def _keep(path: Path, counts: Counter, messages: Counter, defects: list[str]) -> None:
    forms = {name[5:]: number for name, number in sorted(counts.items()) if name[:5] == "form "}
    row = {name: counts[name] for name in COLUMNS} | {"forms": forms, "defects": defects}
    row["messages"] = dict(messages.most_common(40))
    path.write_text(json.dumps(row, ensure_ascii=False, indent=1), "utf-8", "surrogateescape")


def _table(rows: dict[str, dict]) -> str:
    heads = (
        "kind",
        "tried",
        "read",
        "refused with a sentence",
        "MLflow's own 500",
        "anything else",
    )
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    total = {name: sum(row[name] for row in rows.values()) for name in COLUMNS}
    for kind, row in (rows | {"all": total}).items():
        lines.append(f"| {kind} | {' | '.join(f'{row[name]:,}' for name in COLUMNS)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
