"""Continual learning in bits: load a model, make a Learner, let it see, learn and predict."""

from .learner import Learner
from .network import Network, load
from .state import heap

__version__ = "0.1.0"
