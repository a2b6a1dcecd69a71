# What a learner needs of RAM, by formula, and what the heap has.

import gc

from . import trainer
from .checks import check_sizes
from .header import RESERVE
from .network import check_network

HEAD_BATCH = 32  # samples of a minibatch where the head alone is trained
SHARES = (1.0, 0.5, 0.25, 0.125)  # of a layer's channels that plans tell of
BITS = {"head_bits": 16, "q_b": 4}  # of a learner by default


def batch(net, config):
    """Samples of a minibatch: of the lowest trained layer's, or for the head."""
    if not config["train"]:
        return HEAD_BATCH
    return trainer.minibatch([layer for layer in net.above if layer.op == "bconv2d"][-config["train"]])


def buffers(net, config):
    """Bytes of every buffer of a learner with these settings, by formula, before they are there: "part.buffer".

    replay, fresh: M * (latent bits / 8 + label). weights: cw, its quantized copy with a shift a class, the trained
    layers' latent weights and their signs. gradients: tw and its velocity, and what a minibatch needs. reserve: for a
    save, one for all learners of a network.
    """
    classes, n, latent, samples = config["classes"], net.features, net.latent_bytes, batch(net, config)
    found = {}
    for part in ("replay", "fresh"):
        found[part + ".latents"], found[part + ".classes"] = config[part] * latent, config[part]
    found["weights.cw"], found["weights.quantized"], found["weights.shift"] = 2 * classes * n, classes * n, classes
    found["weights.past"], found["weights.rng"] = 4 * classes, 4
    found["gradients.tw"] = trainer.velocity_bytes(net, config)
    if not config["train"]:
        found["gradients.velocity"] = found["gradients.tw"]
    found["gradients.x"] = samples * latent
    if len(net.spare) < samples * n:
        found["gradients.f"] = samples * n
    found["gradients.e"], found["gradients.scores"] = 2 * samples * classes, 4 * classes
    found["gradients.active"], found["gradients.head_hyper"] = classes, 5
    found["gradients.labels"] = found["gradients.best"] = samples
    found.update(trainer.buffers(net, config, samples))
    found["reserve.save"] = RESERVE
    return found


def memory(net, config):
    """The buffers() in bytes, summed by part.

    activations: the network's scratch, which exists already. total: all of them, that is, all but the frozen weights.
    """
    found = {"replay": 0, "fresh": 0, "weights": 0, "gradients": 0, "reserve": 0}
    for name, size in buffers(net, config).items():
        found[name.split(".")[0]] += size
    found["activations"] = net.scratch_bytes
    found["total"] = sum(found.values())
    return found


def trained(config):
    """Which layers a learner with this config trains, for people."""
    if not config["train"]:
        return "the head"
    share = "" if config["channels"] == 1 else " (%.3g of their channels)" % config["channels"]
    return "the head and %d binary layer%s%s" % (config["train"], "s" if config["train"] > 1 else "", share)


def choices(net):
    """What can be trained of a Network: [(train, channels)], from the head alone, train 0, up."""
    return [(0, 1.0)] + [(train, share) for train in range(1, trainer.most(net) + 1) for share in SHARES]


def plan(net, replay=500, fresh=100, classes=10):
    """Prints what a learner on a Network would need with each choice of train and channels, before one is made.

    Returns [(train, channels, bytes)]; bytes are those beside the model and the network's scratch. ValueError for
    numbers that a Learner refuses, TypeError for what is no Network.
    """
    check_network(net)
    check_sizes({"replay": replay, "fresh": fresh, "classes": classes})
    found = []
    print("%-6s %-8s %9s" % ("train", "channels", "bytes"))
    for train, channels in choices(net):
        config = {"replay": replay, "fresh": fresh, "classes": classes, "train": train, "channels": channels}
        config.update(BITS)
        sizes = memory(net, config)
        found.append((train or "head", channels, sizes["total"] - sizes["activations"]))
        print("%-6s %-8g %9d" % found[-1])
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
    return (
        "needs %d bytes of RAM (replay %d, fresh %d, weights %d, gradients %d, a save %d), %d of them in one block"
        % (
            found["total"] - found["activations"],
            found["replay"],
            found["fresh"],
            found["weights"],
            found["gradients"],
            found["reserve"],
            max(buffers(net, config).values()),
        )
    )
