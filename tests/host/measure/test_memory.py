"""bitreplay report: what it prints of what a board said; tests/device has the board."""

import bitreplay
from bitreplay_host.measure import memory

LEARNER = {"replay": 30, "fresh": 10, "classes": 4, "train": 2, "channels": 0.5}


def test_other_choices_are_told_with_what_they_need(deep_model):
    net = bitreplay.load(deep_model)
    choices = memory.choices(deep_model, LEARNER)
    assert [(c["train"], c["channels"]) for c in choices[:3]] == [(0, 1), (1, 1), (1, 0.5)] and len(choices) == 17
    for c in choices:
        me = bitreplay.Learner(net, **{**LEARNER, "train": c["train"], "channels": c["channels"]})
        buffers = me.buffers()
        assert (c["bytes"], c["block"]) == (sum(buffers.values()), max(buffers.values()))


def test_what_fits_is_what_is_free(deep_model):
    choices = memory.choices(deep_model, LEARNER)
    wanted = choices[6]
    heap = {"used": 1, "free": wanted["bytes"], "block": wanted["block"]}
    found = {"target": "it", "start": heap, "loaded": heap, "made": heap, "scratch": 1, "buffers": {"x": 1}}
    found |= {"in_place": True, "model": 1, "flash": {}, "choices": choices}
    rows = [line.split() for line in memory.describe(found).splitlines()]
    for c in choices:
        label = [str(c["train"]), f"{c['channels']:g}"] if c["train"] else ["head"]
        fits = c["bytes"] <= wanted["bytes"] and c["block"] <= wanted["block"]
        assert [*label, str(c["bytes"]), str(c["block"]), "yes" if fits else "no"] in rows
    found["loaded"] = {**heap, "free": wanted["bytes"] - 1}
    assert ["2", "0.5", str(wanted["bytes"]), str(wanted["block"]), "no"] in [
        line.split() for line in memory.describe(found).splitlines()
    ]
