# A learner that starts with a model's own classes: the weights of its pretrained head become consolidated ones.

from .state import check_room

PAST = 500  # samples that a class counts for, as CIFAR-100's have; from 50 to 50000 it hardly matters
UNITS = 8  # a shift of a `dense` layer is one to the left of this for the head's weights (docs/numbers.md)


def check_start(net, settings):
    """ValueError that says why a learner with these settings cannot start with the classes of a Network."""
    if not net.head:
        raise ValueError("start: the model has no pretrained head; leave it out")
    number = len(net.labels)
    if settings["classes"] < number:
        if number > 255:
            raise ValueError("start: the model has %d classes, a learner 255 at most; leave it out" % number)
        raise ValueError(
            "classes: the model has %d of its own; give more, to have room for new ones, or leave start out" % number
        )
    for c in range(number):
        size = max([abs(weight) for weight in _row(net, c)])
        shift = _shift(net, c)
        # What head_quantize() makes of it must be the same weights.
        if size >= 1 << (settings["q_f"] - 1) or shift < 0 or size << shift > 32767:
            raise ValueError(
                "start: the weights of class %r, up to %d, do not fit q_f=%d and the head's 16 bits exactly; "
                "leave start out" % (net.labels[c], size, settings["q_f"])
            )


def begin(learner):
    """Gives a new learner, of settings that check_start() took, the classes of its Network."""
    net, head = learner.net, learner.head
    for c in range(len(net.labels)):
        row, shift = head.cw_rows[c], _shift(net, c)
        for i, weight in enumerate(_row(net, c)):
            row[i] = weight << shift
        head.past[c] = PAST
    learner.labels += net.labels[:-1]
    check_room(learner, net.labels[-1])
    learner.labels.append(net.labels[-1])


def _signed(byte):
    return byte - 256 if byte > 127 else byte


def _shift(net, c):
    return _signed(memoryview(net.head[1])[c]) + UNITS


def _row(net, c):
    """The weights of class c."""
    weight = memoryview(net.head[0])
    for i in range(c * net.features, (c + 1) * net.features):
        yield _signed(weight[i])
