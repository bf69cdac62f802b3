import pytest

from yolo3.deploy.sdk import DeployError
from yolo3.deploy.traffic import choose_colour, share_traffic


@pytest.mark.parametrize(
    ("traffic", "same", "expected"),
    [
        ({}, None, "blue"),
        ({"blue": 0}, None, "blue"),
        ({"blue": 100}, None, "green"),
        ({"blue": 0, "green": 100}, None, "blue"),
        ({"other": 100}, None, "blue"),
        ({"blue": 100}, "blue", "blue"),
        ({"blue": 90, "green": 10}, "green", "green"),
    ],
)
def test_the_deployment_without_traffic_is_written(traffic, same, expected):
    assert choose_colour(traffic, same) == expected


def test_two_that_take_traffic_are_both_left_alone():
    with pytest.raises(DeployError, match="both blue .90 %. and green .10 %. take traffic"):
        choose_colour({"blue": 90, "green": 10}, None)


@pytest.mark.parametrize(
    ("traffic", "colour", "percent", "expected"),
    [
        ({}, "blue", 100, {"blue": 100}),
        ({}, "blue", 0, {}),
        ({"blue": 100}, "green", 100, {"green": 100}),
        ({"blue": 100}, "green", 10, {"green": 10, "blue": 90}),
        ({"blue": 100}, "green", 0, {"blue": 100}),
        ({"blue": 90, "green": 10}, "green", 100, {"green": 100}),
        ({"blue": 90, "green": 10}, "green", 50, {"green": 50, "blue": 50}),
        ({"blue": 90, "green": 10}, "green", 0, {"blue": 100}),
        ({"a": 50, "b": 25, "c": 25, "d": 0}, "green", 9, {"green": 9, "a": 45, "b": 23, "c": 23}),
        ({"blue": 100}, "blue", 100, {"blue": 100}),
    ],
)
def test_the_others_keep_the_rest_in_proportion(traffic, colour, percent, expected):
    shared = share_traffic(traffic, colour, percent)
    assert shared == expected and sum(shared.values()) in (0, 100)


@pytest.mark.parametrize(
    ("traffic", "percent"), [({}, 50), ({"blue": 100}, 0), ({"blue": 100}, 30)]
)
def test_nothing_can_take_a_rest_where_there_is_no_other(traffic, percent):
    with pytest.raises(DeployError, match=f"the other {100 - percent} %"):
        share_traffic(traffic, "blue", percent)
