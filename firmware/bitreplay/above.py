# The layers above the latent: from its bits to features.

from array import array

import _bitreplay as kernels

from .calls import add_calls, buffer, source_of
from .graph import LATENT, STREAM

WHOLE = array("H", [0])  # the one row of a buffer


class Above:
    """The layers above a Network's latent, bound to its scratch.

    By a layer's place in net.above, for a learner that trains some of them: packed, the signs it has in place of the
    file's; kept, rows for the bits that it makes of a minibatch; masks, the bit planes that the backward pass needs.
    work: memory that is idle meanwhile.
    """

    def __init__(self, net, packed=None, kept=None, masks=None, work=None):
        packed, kept, masks = packed or {}, kept or {}, masks or {}
        self.net = net
        self.size = net.features
        self.trained = bool(masks)  # gradients may lie in the memory for tables then
        # Made once, as a call that is made anew for every sample leaves as much garbage.
        self._readers, self._learning_readers = [], []  # (arguments, place) of what reads the latent
        self._calls = []  # (kernel, arguments)
        self._learning = []  # the same for a sample to be learned from
        self._kept = []  # and (arguments, place, rows) of its bits that are kept
        source = None  # of the bits
        for i in range(len(net.above)):
            layer, calls = net.above[i], []
            add_calls(calls, layer, net.scratch, packed.get(i))
            self._calls += calls
            kernel, arguments = calls.pop()
            self._learning += calls
            at, reads, makes = source_of(layer), None, kept.get(i)
            if layer.source == LATENT:
                self._readers.append((arguments, at))
            elif layer.source != STREAM:
                reads = kept.get(source)
            if i in masks or reads or makes:
                arguments = list(arguments)
                if layer.op == "bconv2d" and i in masks:
                    arguments[-2] = work
                    kernel, arguments = kernels.bconv2d_masks, arguments + list(masks[i])
                elif i in masks:
                    near = [arguments[0], layer.threshold, masks[i][0]]
                    self._learning.append((kernels.near_threshold, near))
                self._kept += [(arguments, at, reads)] if reads else []
                self._kept += [(arguments, len(arguments) - 1, makes)] if makes else []
            if layer.source == LATENT:
                self._learning_readers.append((arguments, at))
            self._learning.append((kernel, arguments))
            if layer.target != STREAM:
                source = i
        last = buffer(net.scratch, STREAM, net.above[-1].shape)
        pool: tuple = kernels.global_avg_pool, [last, None]
        if net.pooling == "flatten":
            pool = kernels.gather_rows, [WHOLE, last, b"", None]
        self._calls.append(pool)
        self._learning.append(pool)
        self._pool = pool[1]

    def serve(self):
        """To be called before the calls are made: their memory for tables."""
        if not self.trained:
            self.net.tables.serve(self._calls)

    def features(self, latent, out):
        """latent (net.latent_bytes) to out (i8[net.features]). ValueError for a buffer of another size."""
        if len(out) != self.size:
            raise ValueError("out: expected %d bytes, got %d" % (self.size, len(out)))
        self.serve()
        for arguments, at in self._readers:
            arguments[at] = latent
        self._pool[-1] = out
        try:
            kernels.run(self._calls, (), 1)
        except ValueError:
            raise ValueError("latent: expected %d bytes, aligned to 4" % self.net.latent_bytes)

    def minibatch(self, latents, features):
        """(calls, rows) for kernels.run: what features() does for each sample, and what learning from it needs.

        latents, features: rows of the minibatch.
        """
        rows = self._kept + [(arguments, at, latents) for arguments, at in self._learning_readers]
        return self._learning, rows + [(self._pool, len(self._pool) - 1, features)]
