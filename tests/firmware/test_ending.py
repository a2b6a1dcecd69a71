"""When a learn() without a number of epochs ends, and that it says why."""

import pytest
from bitreplay import Learner
from bitreplay.ending import Ending
from learners import run
from synthetic import teach


def epochs(hits, samples=1000, trained=False):
    """What is told after each epoch with so many of 1000 right: (epoch, epochs, falls), and the reason."""
    ending, told = Ending(None, samples, trained), []
    for right in hits:
        ending.after(right, 1000)
        told.append((ending.epoch, ending.epochs, ending.falls))
        if ending.epoch == ending.epochs:
            break
    return told, ending.reason


def test_it_ends_where_no_more_become_right():
    told, reason = epochs([500, 600, 600, 599, 700])
    assert told == [(1, 20, 0), (2, 20, 0), (3, 20, 0), (4, 4, 0)] and reason == "no better for 2 epochs"


def test_few_samples_are_waited_for():
    told, reason = epochs([500] * 20, samples=300)
    assert told[-1] == (5, 5, 0) and reason == "no better for 4 epochs"


def test_it_ends_when_all_are_right_and_at_the_limit():
    told, reason = epochs([900, 950, 960, 970, 1000])
    assert told[-1] == (5, 5, 0) and reason == "all were right"
    told, reason = epochs(range(100))
    assert told[-1] == (20, 20, 0) and reason == "limit"


def test_it_has_four_epochs_at_least():
    assert epochs([1000] * 9) == ([(1, 20, 0), (2, 20, 0), (3, 20, 0), (4, 4, 0)], "all were right")
    assert epochs([9, 8, 7, 6]) == ([(1, 20, 0), (2, 20, 0), (3, 20, 0), (4, 4, 0)], "no better for 3 epochs")


def test_rates_of_binary_layers_fall_in_the_last_four_epochs():
    told, reason = epochs([500, 600, 1000, 1, 2, 3, 4, 5], trained=True)
    assert told == [(1, 20, 0), (2, 20, 0), *[(n, 7, 4) for n in range(3, 8)]] and reason == "all were right"
    told, reason = epochs(range(100), trained=True)
    assert told[15:] == [(n, 20, 4) for n in range(16, 21)] and reason == "limit"


@pytest.mark.parametrize("number", [1, 4, 30])
def test_a_number_of_epochs_is_kept(number):
    ending = Ending(number, 10, True)
    while ending.epoch < ending.epochs:
        assert not ending.after(10, 10)
    assert (ending.epoch, ending.falls, ending.reason) == (number, number, "")


def test_the_last_line_says_why(net, synthetic, capsys):
    me = Learner(net)
    teach(me, synthetic, (0, 1, 2), 10)
    me.learn()
    *before, last = capsys.readouterr().out.splitlines()
    assert last.startswith(f"epoch {len(before) + 1}/{len(before) + 1}: 100.0 % of the minibatches' samples right, ")
    assert last.endswith("; stopped: all were right") and not any("stopped" in line for line in before)
    me.learn(1)
    assert "stopped" not in capsys.readouterr().out


@pytest.mark.parametrize("train", ["0", "2"])
def test_the_same_everywhere(deep_model, micropython, cpython, train):
    script = """
told = []
me = bitreplay.Learner(net, replay=24, fresh=40, classes=5, train=int(sys.argv[3]) or "head")
for classes in ((0, 1), (2, 1)):
    teach(me, synthetic, classes, 12)
    me.learn(progress=lambda *now: told.append(now[:2]))
show(digest=me.digest(), told=told)
"""
    found = run(micropython, script, deep_model, train)
    assert found == run(cpython, script, deep_model, train)
    assert found[0]["told"][-1][0] == found[0]["told"][-1][1]
