# The layers above the latent: from its bits to features.

import _bitreplay as kernels

from .calls import buffer, zero
from .graph import STREAM


class Above:
    """The layers above a Network's latent, bound to its scratch.

    A learner that trains some of them fills, by a layer's place in net.above: packed, the signs it has in place of the
    file's; kept, rows for a minibatch's bits; masks, the bit planes that the backward pass needs.
    """

    def __init__(self, net):
        self.net = net
        self.packed, self.kept, self.masks, self.steps = {}, {}, {}, []
        for layer in net.above:
            x, y = buffer(net.scratch, layer.source, layer.shape_in), buffer(net.scratch, layer.target, layer.shape)
            self.steps.append((layer, x, y))
        self.last = buffer(net.scratch, STREAM, net.above[-1].shape)

    def features(self, latent, out, row=None):
        """latent (net.latent_bytes) to out (i8[net.features]). row: of the minibatch, if it is to be learned from."""
        bits, masks = latent, {} if row is None else self.masks
        for i, (layer, x, y) in enumerate(self.steps):
            if layer.op == "expand":
                kernels.expand(bits, layer.levels, y)
            elif layer.op == "binarize":
                if i in masks:
                    kernels.near_threshold(x, layer.threshold, masks[i][0])
                bits = self.kept[i][row or 0] if i in self.kept else y
                kernels.binarize(x, layer.threshold, bits)
            elif layer.op == "bconv2d":
                if not layer.residual:
                    zero(y)
                arguments = (layer.geometry, bits, self.packed.get(i, layer.weight)) + layer.affine + (y,)
                if i in masks:
                    kernels.bconv2d_masks(*(arguments + masks[i]))
                else:
                    kernels.bconv2d(*arguments)
            elif layer.op == "bconv2d_sign":
                y = self.kept[i][row or 0] if i in self.kept else y
                kernels.bconv2d_sign(layer.geometry, bits, layer.weight, layer.threshold, layer.flip, y)
                bits = y
            else:
                pool = kernels.avg_pool if layer.op == "avg_pool" else kernels.max_pool
                pool(layer.pool, x, y)
        if self.net.pooling == "flatten":
            out[:] = self.last
        else:
            kernels.global_avg_pool(self.last, out)
