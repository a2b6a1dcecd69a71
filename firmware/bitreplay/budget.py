# What a learner needs of RAM, by formula, and what the heap has.

import gc

import _bitreplay as kernels

from .replay import BATCH


def scratch_bytes(net, q_b):
    """Working memory of bconv_backward (docs/numbers.md): a channel's gradient, its bit planes, a row of dW, df."""
    return 4 * kernels.bconv_scratch(net.trainable.geometry, BATCH, q_b)


def buffers(net, config):
    """Bytes of every buffer of a learner with these settings, by formula, before they are there: "part.buffer".

    replay, fresh: M * (latent bits / 8 + label). weights: cw, its quantized copy with a shift a class, the binary
    layer's latent weights and their signs. gradients: tw and its velocity, and what a minibatch needs.
    """
    classes, n, latent = config["classes"], net.features, net.latent_bytes
    found = {}
    for part in ("replay", "fresh"):
        found[part + ".latents"], found[part + ".classes"] = config[part] * latent, config[part]
    found["weights.cw"], found["weights.quantized"], found["weights.shift"] = 2 * classes * n, classes * n, classes
    found["weights.past"], found["weights.rng"] = 4 * classes, 4
    master = classes * n * config["head_bits"] // 8
    found["gradients.tw"], found["gradients.velocity"] = master, master
    found["gradients.x"], found["gradients.e"] = BATCH * latent, 2 * BATCH * classes
    found["gradients.scores"], found["gradients.active"] = 4 * classes, classes
    if len(net.spare) < BATCH * n:
        found["gradients.f"] = BATCH * n
    if net.trainable:
        found["weights.packed"] = len(net.trainable.weight) // 8
    if config["conv"]:
        found["weights.weight"] = len(net.trainable.weight)
        found["gradients.xt"], found["gradients.scratch"] = BATCH * latent, scratch_bytes(net, config["q_b"])
    return found


def memory(net, config):
    """The buffers() in bytes, summed by part.

    activations: the network's scratch, which exists already. total: all of them, that is, all but the frozen weights.
    """
    found = {"replay": 0, "fresh": 0, "weights": 0, "gradients": 0}
    for name, size in buffers(net, config).items():
        found[name.split(".")[0]] += size
    found["activations"] = net.scratch_bytes
    found["total"] = sum(found.values())
    return found


def heap():
    """Bytes of MicroPython's heap: {"used", "free", "block"}; block is the largest that is free in one piece.

    Some hundred bytes may be missing in block; to find it takes some ten collections. {} on CPython.
    """
    if not hasattr(gc, "mem_free"):
        return {}
    gc.collect()
    used, free, block, step = gc.mem_alloc(), gc.mem_free(), 0, 1
    while step <= free:
        step *= 2
    while step > 64:
        step //= 2
        try:
            bytearray(block + step)
            block += step
        except MemoryError:
            pass
    return {"used": used, "free": free, "block": block}


def describe(net, config):
    """What a learner needs that is not there yet, for people."""
    found = memory(net, config)
    return "needs %d bytes of RAM (replay %d, fresh %d, weights %d, gradients %d), %d of them in one block" % (
        found["total"] - found["activations"],
        found["replay"],
        found["fresh"],
        found["weights"],
        found["gradients"],
        max(buffers(net, config).values()),
    )
