# Windows of a stream of sensors' readings, as images.

from .checks import check_integer

SIDE, AXES = 32, 3  # of an image; of a sensor: x, y, z are its colours


class Window:
    """The last readings of sensors with three axes as a picture, 32 x 32 x 3: fast time across, slow time down.

    units: of each sensor, how much of what it reads is one of 256 levels, as 0 is level 128. Each sensor has its share
    of the rows, the first one above. A row has 32 readings, and rows are spread over all `samples` of them. A picture
    is due every `hop` readings.
    """

    def __init__(self, units=(256, 128), samples=128, hop=64):
        if type(units) not in (tuple, list) or len(units) not in (1, 2, 4) or min(units) <= 0:
            raise ValueError("units: must be a tuple of 1, 2 or 4 numbers above 0, one for each sensor")
        self.units, self.rows = tuple(units), SIDE // len(units)
        # A row starts at least one reading after the row before.
        self.samples = check_integer("samples", samples, SIDE + self.rows - 1, 4096)
        self.hop = check_integer("hop", hop, 1, samples)
        self.step = (samples - SIDE) // (self.rows - 1)
        # Of each sensor a ring, twice: so every window is in one piece.
        self.rings = [bytearray(2 * AXES * samples) for _ in units]
        self.pixels = bytearray(SIDE * SIDE * AXES)
        self.next = self.count = 0
        self.due = samples

    def add(self, values):
        """A reading: the numbers of all sensors' axes, in order. Returns whether a picture is due."""
        if len(values) != AXES * len(self.units):
            raise ValueError("values: must be %d numbers, got %d" % (AXES * len(self.units), len(values)))
        size, at, i = AXES * self.samples, AXES * self.next, 0
        for sensor in range(len(self.units)):
            ring, unit = self.rings[sensor], self.units[sensor]
            for axis in range(AXES):
                level = int(values[i] // unit) + 128
                level = 0 if level < 0 else 255 if level > 255 else level
                ring[at + axis] = ring[size + at + axis] = level
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
