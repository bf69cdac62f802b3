import os

from yolo3.evaluation.machine import describe


def test_the_machine_has_a_name():
    told = describe()
    assert f"{os.cpu_count()} cores" in told and "tensorflow 2." in told and "\n" not in told
