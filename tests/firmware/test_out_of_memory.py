"""Every allocation of a session fails once, on the unix port: what is left works, and no file is lost."""

import json
from pathlib import Path

import deep
import pytest

import models

HERE = Path(__file__).parent
# By step what it may come to. Each group is a test of its own, so that they can run side by side.
CONSTRUCT = {"construct": {"failed"}}
NETWORK = {"load the network": {"failed"}, "classify": {"failed"}, **CONSTRUCT}
LEARN = {"learn": {"failed, nothing learned", "failed, consolidated", "failed, not consolidated"}}
LEARNER = {
    "see": {"failed"},
    "see a new class": {"failed"},
    "see a latent of a new class": {"failed"},
    "undo": {"failed"},
    "predict": {"failed"},
    **LEARN,
}
SAVE = {
    "save the first": {"failed, none", "failed, new"},
    "save over another": {"failed, old", "failed, new"},
}
SAVE_TORN = {
    "save over a torn save": {"failed, old", "failed, new"},
    "save over a torn rename": {"failed, old", "failed, new"},
}
DEEP = {"model": "little"}
SLOW = pytest.mark.slow  # half a minute, for the same code as SAVE's with another file there
LOAD = {"load": {"failed"}, "load after a torn rename": {"failed"}}


def test_the_injection_fails_allocations(micropython_of_tests):
    """One that is counted, a block that grows, and all later ones, which the exception itself needs."""
    script = """
import _inject

def attempt(step, *after):
    _inject.after(*after)
    try:
        step()
        count = _inject.count()
        _inject.after(0)
        print("done", count)
    except MemoryError as error:
        _inject.after(0)
        print(error)

block, some = bytearray(16), [1, 2, 3, 4]
attempt(lambda: bytearray(1000), 0)
attempt(lambda: bytearray(1000), 3)
attempt(lambda: bytearray(1000), 2)
attempt(lambda: bytearray(1000), 2, True)
attempt(lambda: some.append(5), 1)
attempt(lambda: some.append(5), 2)
attempt(lambda: some.append(6), 1)
print(some)
"""
    failed = "memory allocation failed, allocating %d bytes"
    assert micropython_of_tests(script).splitlines() == [
        "done 2",
        "done 2",
        failed % 1000,
        failed % 1000,
        failed % 64,
        "done 1",
        "done 0",
        "[1, 2, 3, 4, 5, 6]",
    ]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "settings, held, steps",
    [
        ({"replay": 8}, "board", NETWORK),
        ({"replay": 8}, "board", LEARNER),
        ({"replay": 8, "train": 1}, "board", SAVE),
        pytest.param({"replay": 8, "train": 1}, "board", SAVE_TORN, marks=SLOW),
        ({"replay": 8, "train": 1}, "board", LOAD),
        ({"replay": 0, "train": 1}, "thread", LEARN),
        ({"replay": 8, "policy": "reservoir"}, "thread", LEARN),
        ({"replay": 0, "cwr": False, "head_bits": 32}, "board", LEARN),
        ({"replay": 8, "train": 1, "policy": "reservoir"}, "board", LEARN),
        ({"replay": 8, "train": "all", **DEEP}, "board", CONSTRUCT),
        ({"replay": 8, "train": "all", **DEEP}, "board", LEARN),
        ({"replay": 8, "train": "all", "channels": 0.3, "cwr": True, **DEEP}, "thread", LEARN),
    ],
    ids=lambda value: str(value if "replay" in value else next(iter(value))) if isinstance(value, dict) else value,
)
def test_every_allocation_fails(tmp_path, micropython_of_tests, settings, held, steps):
    """What each step may come to is checked on board; here, that every step was there and that every way was taken."""
    settings = {"fresh": 12, "classes": 5, "model": "tiny", **settings}
    model = models.save(tmp_path / "model.safetensors", deep.any_model(settings.pop("model")))
    settings = json.dumps(settings)
    script = (HERE / "onboard_out_of_memory.py").read_text()
    names = json.dumps(list(steps))
    lines = micropython_of_tests(script, HERE, model, tmp_path, settings, held, names, heap="1m").splitlines()
    found = {}
    for line in map(json.loads, lines):
        found.setdefault(line["step"], []).append(line)
        assert line["allocations"] == sum(line["outcomes"].values())
        # Some can fail without harm, as those of a function's variables, which go to the stack then.
        assert line["outcomes"].get("done", 0) < line["allocations"] / 2, line
    assert list(found) == list(steps)
    for step, (alone, with_all_later) in found.items():
        assert alone["allocations"] == with_all_later["allocations"] > (4 if step == "undo" else 5)
        outcomes = {*alone["outcomes"], *with_all_later["outcomes"]} - {"done"}
        assert outcomes <= steps[step]
        # Only learn() has several ways: a failure alone is cleaned up after, and with the others there is no room to.
        if step == "learn":
            assert set(alone["outcomes"]) - {"done"} == {"failed, nothing learned", "failed, consolidated"}
            assert "failed, not consolidated" in with_all_later["outcomes"]
