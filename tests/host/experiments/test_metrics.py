"""Metrics against what is computed by hand from small matrices."""

import pytest
from bitreplay_host.experiments import metrics

TESTED = [10, 10, 20, 5]


def test_new_classes():
    """Class 2 first, then 0 and 3, then 1: 20, 15 and 10 test images."""
    experiences = [[2], [0, 3], [1]]
    right = [[0, 0, 20, 0], [8, 0, 10, 4], [6, 9, 5, 3]]
    found = metrics.summary(right, TESTED, experiences)
    assert found["classes"] == [1, 3, 4] and found["groups"] == [[2], [0, 3], [1]]
    assert found["curve"] == pytest.approx([100, 100 * 22 / 35, 100 * 23 / 45])
    assert found["matrix"] == [[100], [50, 80], [25, 60, 90]]
    told = metrics.of(found["curve"], found["matrix"])
    # 100 fell to 25, and 80 to 60; what was learned last is not counted.
    assert told["forgetting"] == (75 + 20) / 2 and told["backward_transfer"] == -told["forgetting"]
    assert told["average"] == pytest.approx((100 + 100 * 22 / 35 + 100 * 23 / 45) / 3)


def test_known_classes_come_again():
    """The same classes again are one column, from when they came first; they may gain."""
    experiences = [[0, 1], [2], [1, 0], [1]]
    right = [[2, 4, 0, 0], [1, 3, 10, 0], [9, 9, 12, 0], [8, 10, 16, 0]]
    found = metrics.summary(right, TESTED, experiences)
    assert found["classes"] == [2, 3, 3, 3] and found["groups"] == [[0, 1], [2], [1]]
    assert found["matrix"] == [[30], [20, 50], [90, 60], [90, 80, 100]]
    assert metrics.of(found["curve"], found["matrix"])["forgetting"] == ((30 - 90) + (50 - 80)) / 2


def test_new_instances_only():
    found = metrics.summary([[1, 2], [4, 6]], [10, 10], [[0, 1], [0, 1]])
    assert found["matrix"] == [[15], [50]] and found["curve"] == [15, 50]
    assert metrics.of(found["curve"], found["matrix"])["backward_transfer"] == 35


def test_one_experience_forgets_nothing():
    found = metrics.summary([[3, 4, 5, 1]], TESTED, [[0, 1]])
    assert found["curve"] == [35.0]
    assert metrics.of(found["curve"], found["matrix"]) == {
        "average": 35.0,
        "forgetting": None,
        "backward_transfer": None,
    }
