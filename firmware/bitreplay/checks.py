# What a user gives is checked, and refused by an exception that names the argument.

from array import array

MAX_LABEL = 64
MAX_COUNT = (1 << 30) - 1  # samples of a class, experiences
MAX_EPOCHS = 1000000  # of a learn()
RATE_FORMAT = "%.6g"  # how a rate is written: the same in single and double precision


def short(value):
    """A value in a message, whatever a hostile file made of it."""
    if type(value) is str and not is_unicode(value[:40]):
        return "half of a surrogate pair"
    return repr(value)[:40] if type(value) in (int, float, bool, str) else type(value).__name__


def check_integer(name, value, low, high):
    """An integer in low..high, or ValueError."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError("%s: must be an integer, %d..%d, got %s" % (name, low, high, short(value)))
    return value


def check_one_of(name, value, allowed):
    for one in allowed:
        if type(value) is type(one) and value == one:
            return value
    raise ValueError("%s: must be %s, got %s" % (name, " or ".join([repr(one) for one in allowed]), short(value)))


def check_rate(name, value):
    """A learning rate, rounded as it is saved. The kernels' exponents can express any in this range."""
    if type(value) not in (int, float) or not 1e-5 <= value <= 100:
        raise ValueError("%s: must be a number, 0.00001..100, got %s" % (name, short(value)))
    return float(RATE_FORMAT % value)


def check_share(name, value):
    """A share, above 0 and at most 1, in thousandths: written the same in single and double precision."""
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ValueError("%s: must be a number above 0 and at most 1, got %s" % (name, short(value)))
    return max(1, int(value * 1000 + 0.5)) / 1000


def check_sizes(settings):
    """replay, fresh and classes of a learner's settings: a dict. Together at most 65536 samples, as minibatches number
    them in 16 bits."""
    ranges = ("replay", 0, 32768), ("fresh", 1, 32768), ("classes", 2, 255)
    return {name: check_integer(name, settings[name], least, most) for name, least, most in ranges}


def check_epochs(epochs):
    """Epochs of a learn(), or ValueError."""
    return check_integer("epochs", epochs, 1, MAX_EPOCHS)


def is_unicode(text):
    """Whether UTF-8 has all characters of a str: MicroPython lets half of a surrogate pair pass."""
    try:
        data = text.encode()
    except UnicodeError:
        return False
    # By bytes, as MicroPython would keep each character of a str for ever.
    return not any(data[i] == 0xED and data[i + 1] >= 0xA0 for i in range(len(data) - 1))


def check_label(label):
    """A str of 1..64 characters (that UTF-8 can encode) or an int of 64 bits, or ValueError."""
    good = False
    if type(label) is int:
        good = -(1 << 63) <= label < 1 << 63
    elif type(label) is str:
        good = 0 < len(label) <= MAX_LABEL and is_unicode(label)
    if not good:
        raise ValueError(
            "label: must be a str of 1..%d characters or an int of 64 bits, got %s" % (MAX_LABEL, short(label))
        )


def plain(value):
    """A number, a truth value or a string of NumPy as one of Python; anything else as it is."""
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        return value.item()
    return value.__index__() if hasattr(value, "__index__") and type(value) is not bool else value


def kind(value):
    """What a value is: the name of its type, and of an array its elements' too, such as "array('h')"."""
    return repr(value[:0]) if isinstance(value, array) else type(value).__name__


def is_other_array(value, typecode):
    """Whether a value is an array, but not one of these elements.

    MicroPython takes the elements of an array for those of any other type of their size; its memoryview tells no type.
    """
    return isinstance(value, array) and kind(value) != "array('%s')" % typecode


def check_progress(progress):
    """True, False, None or what can be called, or ValueError."""
    if callable(progress):
        return progress
    progress = plain(progress)
    if progress is not None and type(progress) is not bool:
        raise ValueError("progress: must be True, False, None or a function, got " + short(progress))
    return progress


def check_buffer(name, buffer, shape, size):
    """A buffer of bytes of this shape, or in one row: itself or, if it is scattered, a copy.

    TypeError for what is no buffer of bytes, ValueError for another shape, where the buffer tells it.
    """
    if isinstance(buffer, str):
        raise TypeError(name + ": must be a buffer of bytes, such as bytes or bytearray, got str")
    if is_other_array(buffer, "B"):
        raise TypeError("%s: must be uint8, got %s" % (name, kind(buffer)))
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(
            "%s: must be a buffer of bytes, such as bytes or bytearray, got %s" % (name, type(buffer).__name__)
        )
    on_board = not hasattr(view, "format")  # MicroPython's view tells its elements alone
    if on_board and len(view) == size:
        return buffer
    expected = "%s: expected %d bytes, uint8 of shape %s" % (name, size, shape)
    if on_board:
        raise ValueError(expected)
    if view.format not in ("B", "c"):
        raise TypeError("%s: must be uint8, got a buffer of format %r" % (name, view.format))
    # Ones do not move a byte.
    ones = [n for n in view.shape if n != 1]
    if view.nbytes != size or (len(ones) > 1 and ones != [n for n in shape if n != 1]):
        raise ValueError(expected if view.ndim == 1 else "%s, got shape %s" % (expected, view.shape))
    return buffer if view.c_contiguous and view.ndim == 1 else view.tobytes()


def check_path(path):
    """A path as a str. TypeError if it is neither one nor a pathlib.Path, ValueError if it can name no file."""
    if hasattr(path, "__fspath__"):
        path = path.__fspath__()
    if not isinstance(path, str):
        raise TypeError("path: must be a string, the name of a file, got " + type(path).__name__)
    if not path or "\0" in path:
        raise ValueError("path: is empty or has a null character; give the name of a file")
    return path
