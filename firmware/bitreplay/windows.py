# Windows of a stream of sensors' readings, as images.

from .checks import check_integer, plain, short

SIDE, AXES = 32, 3  # of an image; of a sensor: x, y, z are its colours
MOST = 1e30  # of a unit: single precision has it


def _level(value, unit):
    try:
        level = value // unit
        # Compared before it is an integer, as there may be none so large.
        return 0 if level < -128 else 255 if level >= 127 else int(level) + 128
    except (TypeError, ValueError, OverflowError):  # ValueError: NaN, which an infinite value gives, too
        raise ValueError("values: must be finite numbers, got " + short(value))


class Window:
    """The last readings of sensors with three axes as a picture, 32 x 32 x 3: fast time across, slow time down.

    units: of each sensor, how much of what it reads is one of 256 levels, as 0 is level 128. Each sensor has its share
    of the rows, the first one above. A row has 32 readings, and rows are spread over all `samples` of them. A picture
    is due every `hop` readings.
    """

    def __init__(self, units=(256, 128), samples=128, hop=64):
        units = [plain(unit) for unit in units] if type(units) in (tuple, list) else ()
        good = [unit for unit in units if type(unit) in (int, float) and 0 < unit <= MOST]
        if len(units) not in (1, 2, 4) or len(good) != len(units):
            raise ValueError("units: must be a tuple of 1, 2 or 4 numbers above 0, at most 1e30, one for each sensor")
        self.units, self.rows = tuple(units), SIDE // len(units)
        # A row starts at least one reading after the row before.
        self.samples = check_integer("samples", samples, SIDE + self.rows - 1, 4096)
        self.hop = check_integer("hop", hop, 1, samples)
        self.step = (samples - SIDE) // (self.rows - 1)
        # Of each sensor a ring, twice: so every window is in one piece.
        self.rings = [bytearray(2 * AXES * samples) for _ in units]
        self.pixels = bytearray(SIDE * SIDE * AXES)
        self._levels = bytearray(AXES * len(units))  # of a reading, while its values are checked
        self.next = self.count = 0
        self.due = samples

    def add(self, values):
        """A reading: the numbers of all sensors' axes, in order. Returns whether a picture is due.

        ValueError for what are no numbers; then nothing has changed.
        """
        if len(values) != AXES * len(self.units):
            raise ValueError("values: must be %d numbers, got %d" % (AXES * len(self.units), len(values)))
        levels, size, at = self._levels, AXES * self.samples, AXES * self.next
        for i in range(len(levels)):
            levels[i] = _level(values[i], self.units[i // AXES])
        i = 0
        for ring in self.rings:
            for axis in range(AXES):
                ring[at + axis] = ring[size + at + axis] = levels[i]
                i += 1
        self.next = self.next + 1 if self.next + 1 < self.samples else 0
        self.due -= 1
        if self.due:
            return False
        self.due = self.hop
        return True

    def image(self):
        """The picture of the last readings, a buffer that is used again."""
        row, to = AXES * SIDE, 0
        for ring in self.rings:
            view, first = memoryview(ring), AXES * self.next
            for _ in range(self.rows):
                self.pixels[to : to + row] = view[first : first + row]
                first += AXES * self.step
                to += row
        return self.pixels
