# A learner's settings, checked.

from .checks import check_integer, check_one_of, check_rate, check_share, check_sizes, plain
from .trainer import check_train


def check(net, settings):
    """The settings of a learner on a Network as it keeps them, or ValueError that names the one that is wrong.

    settings: all arguments of Learner but net and seed.
    """
    s = {name: plain(value) for name, value in settings.items()}
    train, cwr = check_train(net, s["train"]), s["cwr"]
    found = check_sizes(s)
    others = {
        "policy": check_one_of("policy", s["policy"], ("balanced", "reservoir")),
        "train": train,
        "channels": check_share("channels", s["channels"]),
        # Features that move leave consolidated rows behind.
        "cwr": train == 0 if cwr is None else check_one_of("cwr", cwr, (True, False)),
        "q_f": check_integer("q_f", s["q_f"], 2, 8),
        "head_bits": check_one_of("head_bits", s["head_bits"], (16, 32)),
        "q_b": check_integer("q_b", s["q_b"], 2, 16),
        "rounding": check_one_of("rounding", s["rounding"], ("stochastic", "nearest")),
        "rate": check_rate("rate", s["rate"]),
        "conv_rate": check_rate("conv_rate", s["conv_rate"]),
    }
    found.update(others)
    return found
