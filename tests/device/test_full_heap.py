"""What a Pico can make it can save and load again: the largest learner, with long labels too."""

import json
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"

# All functions first: to compile takes memory.
SCRIPT = """
import gc, json, bitreplay

def made(replay):
    gc.collect()
    try:
        return bitreplay.Learner(net, replay=replay, fresh=20, classes=20, train=TRAIN)
    except MemoryError:
        return None

def largest():
    low, high = 0, 2000
    while low + 1 < high:
        middle = (low + high) // 2
        if made(middle):
            low = middle
        else:
            high = middle
    return low

def attempt(call, *arguments):
    try:
        call(*arguments)
        return 1
    except MemoryError:
        return 0

def see(me):
    count = 0
    for label in labels:
        count += attempt(me.see_latent, latent, label)
    return count

def session():
    replay = largest()
    me = made(replay)
    while me is None:
        # The collector may still take a number on the stack for an address.
        replay -= 1
        me = made(replay)
    me.save("/me.safetensors")
    me.save("/me.safetensors")
    counts = see(me), attempt(me.learn, 1, False) if me.fresh.n else 0
    me.save("/me.safetensors")
    me.save("/me.safetensors")
    return replay, counts, me.digest(), len(me.net.reserve or "")

net = bitreplay.load("/rom/backbone.safetensors")
latent, labels = bytes(net.latent_bytes), [chr(0x4E00 + i) * LENGTH for i in range(20)]
print(json.dumps(session()))
"""

LOAD = """
import bitreplay
net = bitreplay.load("/rom/backbone.safetensors")
me = bitreplay.Learner.load(net, "/me.safetensors")
me.save("/me.safetensors")
print(me.digest())
"""


SLOW = pytest.mark.slow  # shorter labels than these leave more room


@pytest.mark.parametrize(
    "train, length",
    [pytest.param("head", 1, marks=SLOW), ("head", 63), pytest.param("all", 1, marks=SLOW), ("all", 63)],
)
def test_what_can_be_made_can_be_saved_and_loaded(pico_with_model, mpremote, tmp_path, train, length):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("TRAIN", repr(train)).replace("LENGTH", str(length)))
    replay, counts, digest, reserved = json.loads(mpremote(pico_with_model, "run", script))
    assert counts == [20, 1] or train == "head"
    # Small objects may have got into the reserve's place; what was left was enough for two more saves.
    assert replay > 400 and len(digest) == 64 and reserved > 1000
    # A header of long labels takes several times its bytes while it is read.
    if length == 1:
        script.write_text(LOAD)
        assert mpremote(pico_with_model, "run", script).strip() == digest


def test_a_mounted_package_is_told_where_memory_is_short(pico_with_model, mpremote, tmp_path):
    """It hides the firmware's, and takes 30 KB that this does not."""
    script = tmp_path / "script.py"
    script.write_text("""
import bitreplay
try:
    net = bitreplay.load("/rom/backbone.safetensors")
    bitreplay.Learner(net, replay=2000)
except MemoryError as error:
    print(error)
""")
    assert "in RAM" not in mpremote(pico_with_model, "run", script)
    told = mpremote(pico_with_model, "mount", FIRMWARE, "run", script)
    assert "; the package is in RAM, from bitreplay: rename that folder" in told
