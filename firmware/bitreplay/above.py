# The layers above the latent: from its bits to features.

import _bitreplay as kernels

from .calls import add_calls, buffer, source_of
from .graph import LATENT, STREAM


class Above:
    """The layers above a Network's latent, bound to its scratch.

    By a layer's place in net.above, for a learner that trains some of them: packed, the signs it has in place of the
    file's; kept, rows for the bits that it makes of a minibatch; masks, the bit planes that the backward pass needs.
    work: memory that is idle meanwhile.
    """

    def __init__(self, net, packed=None, kept=None, masks=None, work=None):
        packed, kept, masks = packed or {}, kept or {}, masks or {}
        self.net = net
        self.trained = bool(masks)  # gradients may lie in the memory for tables then
        # Made once, as a call that is made anew for every sample leaves as much garbage.
        self._readers = []  # (arguments, index) of what reads the latent
        self._calls = []  # (kernel, arguments)
        self._learning = []  # and (index, rows) of the bits it reads and rows of those it makes, or None
        source = None  # of the bits
        for i in range(len(net.above)):
            layer, calls = net.above[i], []
            add_calls(calls, layer, net.scratch, packed.get(i))
            self._calls += calls
            kernel, arguments = calls.pop()
            self._learning += [(before, its, 0, None, None) for before, its in calls]
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
                    self._learning.append((kernels.near_threshold, near, 0, None, None))
                if layer.source == LATENT:
                    self._readers.append((arguments, at))
            self._learning.append((kernel, arguments, at, reads, makes))
            if layer.target != STREAM:
                source = i
        self.last = buffer(net.scratch, STREAM, net.above[-1].shape)

    def features(self, latent, out, row=None):
        """latent (net.latent_bytes) to out (i8[net.features]). row: of the minibatch, if it is to be learned from.

        ValueError for a buffer of another size.
        """
        if len(out) != self.net.features:
            raise ValueError("out: expected %d bytes, got %d" % (self.net.features, len(out)))
        try:
            self._run(latent, row)
        except ValueError:
            raise ValueError("latent: expected %d bytes, aligned to 4" % self.net.latent_bytes)
        if self.net.pooling == "flatten":
            out[:] = self.last
        else:
            kernels.global_avg_pool(self.last, out)

    def _run(self, latent, row):
        if not self.trained:
            self.net.tables.serve(self._calls)
        for arguments, at in self._readers:
            arguments[at] = latent
        if row is None:
            for kernel, arguments in self._calls:
                kernel(*arguments)
        else:
            for kernel, arguments, at, reads, makes in self._learning:
                if reads:
                    arguments[at] = reads[row]
                if makes:
                    arguments[-1] = makes[row]
                kernel(*arguments)
