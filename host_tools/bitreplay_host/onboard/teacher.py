# A learner that is taught one sample after another. Works on MicroPython and CPython; teach_labelled.py imports it,
# and a board gets this text as it is.

import json

import bitreplay


class Teacher:
    """me: the learner. epochs: of a learn(). sample: a buffer for what see() shows, a latent; if images, an image."""

    def __init__(self, me, epochs, sample=None, images=False):
        self.me, self.epochs, self.sample, self.images = me, epochs, sample, images

    def see(self, label):
        """Shows the sample, after a learn() if there is no room for another one."""
        me = self.me
        if me.fresh.n == me.fresh.capacity:
            self.learn()
        if self.images:
            me.see(self.sample, label)
        else:
            me.see_latent(self.sample, label)

    def learn(self):
        """Learns what waits, if anything does."""
        if self.me.fresh.n:
            self.me.learn(self.epochs, progress=self._progress)

    def _progress(self, epoch, epochs, right):
        print(json.dumps({"experience": self.me.experiences + 1, "epoch": epoch, "epochs": epochs, "right": right}))


def make(model, state, settings, epochs, images=False):
    """A Teacher. state: of a learner that goes on, or None; settings: of Learner, or of load()."""
    net = bitreplay.load(model)
    # Before the learner, as afterwards there may be no such piece of RAM.
    sample = bytearray(net.image_bytes if images else net.latent_bytes)
    me = bitreplay.Learner.load(net, state, **settings) if state else bitreplay.Learner(net, **settings)
    return Teacher(me, epochs, sample, images)
