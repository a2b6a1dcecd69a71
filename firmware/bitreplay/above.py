# The layers above the latent, ready to run.

from array import array

import _bitreplay as kernels

from .calls import add_calls, buffer, source_of
from .graph import LATENT, STREAM


class Above:
    """The layers above the latent of a Network, from a latent to features. They work in the network's scratch.

    weights: {index in net.above: packed signs} that take the place of the file's; they may change between calls.
    """

    def __init__(self, net, weights=None):
        self._net = net
        self._calls: list = []
        self._readers = []  # (arguments, index) of what reads the latent
        shape = net.latent_shape
        for i in range(len(net.above)):
            layer = net.above[i]
            add_calls(self._calls, layer, net.scratch, weights.get(i) if weights else None)
            if layer.source == LATENT:
                self._readers.append((self._calls[-1][1], source_of(layer)))
            shape = layer.shape
        stream = buffer(net.scratch, STREAM, shape)
        if net.pooling == "flatten":
            # A pooling of single pixels is a copy.
            self._calls.append((kernels.avg_pool, [array("H", [shape[0], shape[1], shape[2], 1, 1]), stream, None]))
        else:
            self._calls.append((kernels.global_avg_pool, [stream, None]))

    def features(self, latent, out):
        """Runs the layers: latent (buffer of net.latent_bytes, aligned to 4) to out (int8 buffer of net.features).

        ValueError for a buffer of another size.
        """
        if len(out) != self._net.features:
            raise ValueError("out: expected %d bytes, got %d" % (self._net.features, len(out)))
        last = self._calls[-1][1]
        last[-1] = out
        for arguments, i in self._readers:
            arguments[i] = latent
        try:
            for kernel, arguments in self._calls:
                kernel(*arguments)
        except ValueError:
            raise ValueError("latent: expected %d bytes, aligned to 4" % self._net.latent_bytes)
        finally:
            last[-1] = None
            for arguments, i in self._readers:
                arguments[i] = None
