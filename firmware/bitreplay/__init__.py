"""Continual learning in bits: load a model, make a Learner, let it see, learn and predict."""

from .budget import heap, plan
from .interrupts import ctrl_c
from .learner import Learner
from .network import Network, load

__version__ = "0.1.0"
