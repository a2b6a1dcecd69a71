"""Continual learning in bits: load a model, make a Learner, let it see, learn and predict."""

import gc as _gc
import sys as _sys

_threshold = None
if _sys.implementation.name == "micropython":
    # Where the package is read into RAM, what its parts leave would divide the heap: it is collected soon.
    _threshold = _gc.threshold()
    _gc.threshold(8000)
try:
    from .budget import heap, plan
    from .interrupts import ctrl_c
    from .learner import Learner
    from .network import Network, load
finally:
    if _threshold is not None:
        _gc.threshold(_threshold)

__version__ = "0.1.0"

# What turns sensors into images and files is imported when it is asked for: where the package is in RAM, it would take
# some KB from those who do not.


def logmel(rate=8000, channels=3, bands=32, columns=32):
    """A LogMel: sound, int16, as images."""
    from .sound import LogMel

    return LogMel(rate, channels, bands, columns)


def window(units=(256, 128), samples=128, hop=64):
    """A Window: the readings of sensors as images."""
    from .windows import Window

    return Window(units, samples, hop)


def record(path, shape, dtype="uint8"):
    """A Record: an .npy file that grows row by row."""
    from .rows import Record

    return Record(path, shape, dtype)


def _keep(names, kept):
    # Without deleting: help() crashes on the gap that this leaves in a dict.
    names.clear()
    names.update(kept)


if _sys.implementation.name == "micropython":
    # Completion hides names with an underscore, help() shows all. The parts would hide what is for users; they can
    # still be imported.
    _module = type(_sys)
    _keep(
        globals(),
        {
            name: value
            for name, value in globals().items()
            if name[:2] == "__" or (name[0] != "_" and type(value) is not _module)
        },
    )
