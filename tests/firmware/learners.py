"""Learners on synthetic latents, here and in a script for MicroPython."""

import json
from pathlib import Path

from bitreplay import Learner
from synthetic import Synthetic, teach

HERE = Path(__file__).parent
PRELUDE = """
import sys
sys.path.append(sys.argv[1])
import bitreplay
from synthetic import Synthetic, accuracy, show, teach

net = bitreplay.load(sys.argv[2])
synthetic = Synthetic(net.latent_bytes)
"""


def run(implementation, script, *arguments, **options):
    """The objects that a script printed."""
    return [json.loads(line) for line in implementation(PRELUDE + script, HERE, *arguments, **options).splitlines()]


def learned(net, synthetic, classes=(0, 1, 2), samples=10, **settings):
    """A learner that has learned something, and has fresh samples again."""
    me = Learner(net, **{"replay": 20, **settings})
    teach(me, synthetic, classes, samples)
    me.learn(2, progress=False)
    teach(me, synthetic, classes, 2)
    return me


def name(c):
    """The label of class c: strings and integers."""
    return ["mug", 7, "Tür", -3, "new"][c]


def taught(net, **settings):
    """A learner with something in every part, and four of five classes."""
    me, synthetic = Learner(net, **{"replay": 24, "fresh": 40, "classes": 5, **settings}), Synthetic(net.latent_bytes)
    for classes in ((0, 1), (2, 1)):
        teach(me, synthetic, classes, 15, name)
        me.learn(2, progress=False)
    teach(me, synthetic, (1, 3), 3, name)
    return me
