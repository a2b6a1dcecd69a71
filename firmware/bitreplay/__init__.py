"""Continual learning in bits: load a model, make a Learner, let it see, learn and predict."""

import sys as _sys

from .budget import heap, plan
from .interrupts import ctrl_c
from .learner import Learner
from .network import Network, load
from .record import Record, record

__version__ = "0.1.0"


def _keep(names, kept):
    # Without deleting: help() crashes on the gap that this leaves in a dict.
    names.clear()
    names.update(kept)


if _sys.implementation.name == "micropython":
    # help() and the REPL's completion show all names but those with an underscore. The parts, which are still there to
    # be imported, would hide what is for users.
    _module = type(_sys)
    _keep(
        globals(), {name: value for name, value in globals().items() if name[0] == "_" or type(value) is not _module}
    )
