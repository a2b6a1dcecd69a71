"""CWR* alone against Avalanche's plugin, where avalanche-lib is installed: the same features and minibatches.

Only the plugin and PyTorch's SGD and cross entropy are theirs; a loop of ours calls them as a strategy does.
"""

from types import SimpleNamespace

import bitreplay
import numpy as np
import pytest
from bitreplay_host.experiments.float_learner import MOMENTUM, FloatLearner
from synthetic_data import models
from test_float_learner import CLASSES, NAMES, made_latents

plugins = pytest.importorskip("avalanche.training.plugins", exc_type=ImportError)
torch = pytest.importorskip("torch")

RATE = 0.05


class Watched(FloatLearner):
    """Notes the features and classes of each minibatch."""

    def __init__(self, *args, **arguments):
        super().__init__(*args, **arguments)
        self.batches = []

    def _minibatch(self, batch, samples):
        self.batches.append((self._features(batch), [samples[-1][i] for i in batch]))
        return super()._minibatch(batch, samples)


class Theirs:
    """A linear layer without bias, taught by SGD between the plugin's two calls."""

    def __init__(self, features):
        self.model = torch.nn.Sequential(torch.nn.Linear(features, CLASSES, bias=False))
        self.plugin = plugins.CWRStarPlugin(self.model)
        self.experiences = 0

    def learn(self, classes, batches):
        """classes: of the experience's samples. batches: [(features, classes)]."""
        strategy = SimpleNamespace(
            clock=SimpleNamespace(train_exp_counter=self.experiences),
            experience=SimpleNamespace(dataset=SimpleNamespace(targets=classes)),
        )
        self.plugin.before_training_exp(strategy)
        sgd = torch.optim.SGD(self.model.parameters(), lr=RATE, momentum=MOMENTUM)
        for features, labels in batches:
            sgd.zero_grad()
            torch.nn.functional.cross_entropy(self.model(torch.tensor(features)), torch.tensor(labels)).backward()
            sgd.step()
        self.plugin.after_training_exp(strategy)
        self.experiences += 1

    @property
    def weight(self):
        return self.model[0].weight.detach().numpy()


def test_cwr_is_avalanches(tmp_path):
    """Also where known classes come again, beside new ones and alone, once and often."""
    net = bitreplay.load(models.tiny_model(tmp_path / "tiny.safetensors"))
    latents, classes = made_latents(30, 0.15, seed=1)
    ours = Watched(net, replay=0, classes=CLASSES, fresh=100, policy="reservoir", rate=RATE)
    theirs = Theirs(net.features)
    rng = np.random.default_rng(1)
    for group, count in (((0, 1), 12), ((2,), 20), ((1, 3), 5), ((0,), 25), ((4, 1, 2), 8), ((1,), 1)):
        rows = np.concatenate([rng.choice(np.flatnonzero(classes == c), count, replace=False) for c in group])
        for row in rows:
            ours.see_latent(latents[row], NAMES[classes[row]])
        ours.learn(3, progress=False)
        theirs.learn(classes[rows].tolist(), ours.batches)
        ours.batches.clear()
        known = len(ours.labels)  # theirs keeps what it trained of classes that never came; here these do not compete
        assert np.abs(theirs.weight[:known]).max() > 0.1
        assert np.abs(ours.consolidated - theirs.weight)[:known].max() < 1e-5
