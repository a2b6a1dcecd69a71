"""A heap in several areas, as an ESP32 has it, is simulated by the unix port: what does not fit in one is told."""

import re

import pytest

import models

# Four areas of 200 KB.
HEAP = "800k"
ROOMY, TOO_LARGE = 8000, 16000  # latents of 16 bytes
SESSION = """
import sys
import bitreplay

net = bitreplay.load(sys.argv[1])
me = bitreplay.Learner(net, replay=int(sys.argv[2]), fresh=20, classes=4, seed=3, train=sys.argv[3])
for i in range(20):
    me.see_latent(bytes([(37 * i + 11 * j) & 255 for j in range(net.latent_bytes)]), i % 3)
me.learn(epochs=2, progress=False)
print(me.digest(), max(me.buffers().values()))
"""
FAIL = """
import sys
import bitreplay

net = bitreplay.load(sys.argv[1])
print(bitreplay.heap()["free"], bitreplay.heap()["block"])
try:
    me = bitreplay.Learner(net, replay=int(sys.argv[2]), fresh=20, classes=4)
except MemoryError as error:
    print(error)
me = bitreplay.Learner(net, replay=int(sys.argv[2]) // 2, fresh=20, classes=4)
print(me.replay.capacity)
"""
NEEDED, LEFT = r"(\d+) bytes of RAM .*, (\d+) of them in one block", r"(\d+) are free, (\d+) of them in one block"
TOLD = f"Learner: needs {NEEDED}; {LEFT}; "


@pytest.fixture
def model(tmp_path):
    return models.tiny_model(tmp_path / "small.safetensors")


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_learner_in_several_areas_is_the_same(micropython_of_tests, cpython, deep_model, train):
    here = cpython(SESSION, deep_model, ROOMY // 4, train).split()
    assert micropython_of_tests(SESSION, deep_model, ROOMY // 4, train, heap=HEAP).split() == here
    assert int(here[1]) == ROOMY * 16


def test_a_block_that_fits_in_no_area(micropython_of_tests, model):
    """Enough is free in all, and the message says what is not enough; a smaller learner is possible afterwards."""
    before, told, capacity = micropython_of_tests(FAIL, model, TOO_LARGE, heap=HEAP).splitlines()
    found = re.match(TOLD, told)
    assert found and told.endswith("make replay or fresh smaller")
    needed, largest, free, block = map(int, found.groups())
    assert needed < free and largest == TOO_LARGE * 16 > block
    free_before, block_before = map(int, before.split())
    assert 0 <= free_before - free < 4096 and abs(block_before - block) < 4096
    assert block < 200 * 1024 < free
    assert capacity == str(TOO_LARGE // 2)
