"""`_bitreplay` on CPython: the NumPy reference, so that the on-board package `bitreplay` runs here unchanged."""

from bitreplay_host.reference import *  # noqa: F403
from bitreplay_host.reference import __all__  # noqa: F401
