import json

import pytest
from PIL import Image

from benchmarks.table import Row, ratio_of, seconds_in_turns, write


def test_each_call_begins_a_round_in_turn():
    called = []
    calls = {name: (lambda name=name: called.append(name)) for name in "abc"}
    times = seconds_in_turns(calls, rounds=3, warm=1)
    assert "".join(called) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3, "c": 3}
    assert all(second >= 0 for found in times.values() for second in found)


def test_a_ratio_is_the_median_of_the_rounds_own():
    assert ratio_of([2.0, 40.0, 6.0], [1.0, 10.0, 2.0]) == 3.0
    with pytest.raises(ValueError):
        ratio_of([1.0], [1.0, 2.0])


def test_rows_are_a_table_json_and_a_plot(tmp_path):
    rows = [
        Row("step", "plain", 10.0, "images/s"),
        Row("step", "ours", 25.0, "images/s", "plain", 2.5, 2.0),
        Row("start", "help", 900.0, "ms", "1 s", 0.9, 1.0),
    ]
    assert rows[0].line == "| step | plain | 10.0 images/s |  |  |  |"
    assert rows[1].line == "| step | ours | 25.0 images/s | 2.50 | plain | 2 |"
    write(rows, "a machine", tmp_path / "new" / "figures.json")
    content = json.loads((tmp_path / "new" / "figures.json").read_text("utf-8"))
    assert content["machine"] == "a machine"
    assert [row["ratio"] for row in content["rows"]] == [None, 2.5, 0.9]
    with Image.open(tmp_path / "new" / "figures.png") as plot:
        assert min(plot.size) > 100
