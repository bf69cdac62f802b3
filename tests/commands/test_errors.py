import json

import click
import pytest
from click.testing import CliRunner

from yolo3.commands.errors import explain_errors
from yolo3.data.annotations import read_classes
from yolo3.data.images import ImageError
from yolo3.data.pictures import DataError
from yolo3.network.spec import parse_input_size


def outcome(function):
    return CliRunner().invoke(click.command()(explain_errors(function)))


def raising(error):
    def function():
        raise error

    return function


def test_what_a_user_must_mend_is_a_sentence(tmp_path):
    own = {
        "input_size must be a multiple of 32": lambda: parse_input_size("100"),
        "does not exist": lambda: read_classes(tmp_path / "nowhere.txt"),
        "2 problems in the data:\none\ntwo": raising(DataError("one", "two")),
        "is cut short": raising(ImageError("is cut short")),
    }
    for message, function in own.items():
        done = outcome(function)
        assert done.exit_code == 1
        assert done.output.startswith("Error: ") and message in done.output


@pytest.mark.parametrize(
    "function",
    [
        lambda: json.loads("{"),
        raising(ValueError("somebody else's")),
        raising(RuntimeError("ours or not")),
        lambda: parse_input_size(),
    ],
)
def test_a_mistake_of_the_program_keeps_its_traceback(function):
    done = outcome(function)
    assert done.exit_code == 1 and "Error" not in done.output
    assert not isinstance(done.exception, SystemExit)


def test_a_sentence_about_a_library_keeps_its_cause():
    def wraps():
        try:
            json.loads("{")
        except ValueError as error:
            raise DataError("list.json: not JSON") from error

    assert outcome(wraps).output == "Error: list.json: not JSON\n"
