# Rows of an .npy file of images, for the other scripts here.


def data_start(file):
    """Where the data of an open .npy file (version 1 or 2) starts."""
    head = file.read(12)
    if head[:6] != b"\x93NUMPY":
        raise ValueError("images: not a .npy file")
    if head[6] == 1:
        return 10 + head[8] + 256 * head[9]
    return 12 + int.from_bytes(head[8:12], "little")


def rows(path, numbers, size):
    """Yields the images of `size` bytes with these row numbers, all in one buffer."""
    image = bytearray(size)
    with open(path, "rb") as file:
        start = data_start(file)
        for number in numbers:
            file.seek(start + number * size)
            if file.readinto(image) != size:
                raise ValueError("images: row %d is missing" % number)
            yield image
