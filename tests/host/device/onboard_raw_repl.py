# The raw REPL of a board, which the unix port lacks: executes what comes on standard input, as ports for boards do.
#
# argument: the folder that is /. Ctrl-C comes as a signal while code is executed.

import os
import sys

import vfs

RAW = b"raw REPL; CTRL-B to exit\r\n>"
PROMPT = b"\r\nMicroPython of a test\r\n>>> "


def line(stdin):
    """What comes until a control character, and that."""
    code = b""
    while True:
        byte = stdin.read(1)
        if byte in (b"", b"\x01", b"\x02", b"\x04", b"\x05"):
            return code, byte
        code = b"" if byte == b"\x03" else code + byte


def execute(code, names, say):
    try:
        say(b"OK")  # from here on Ctrl-C is the code's
        exec(compile(code, "<stdin>", "exec"), names)
        say(b"\x04")
    except (Exception, KeyboardInterrupt) as error:
        say(b"\x04")
        sys.print_exception(error)
    say(b"\x04>")


class Repl:
    def __init__(self):
        self.stdin, self.say = sys.stdin.buffer, sys.stdout.buffer.write
        self.raw, self.names = False, {"__name__": "__main__"}
        self.say(PROMPT)

    def step(self):
        """Does what comes next; False at the end of the input."""
        code, end = line(self.stdin)
        if end == b"":
            return False
        if end in (b"\x01", b"\x02"):
            self.raw = end == b"\x01"
            self.say(RAW if self.raw else PROMPT)
        elif end == b"\x05":
            self.say(b"R\x00")  # pasting is not known
            self.stdin.read(2)
        elif code.strip():
            execute(code, self.names, self.say)
        else:
            self.names = {"__name__": "__main__"}
            self.say(b"OK\r\nMPY: soft reboot\r\n" + (RAW if self.raw else PROMPT))
        return True


class Files:
    """VfsPosix with a root, whose own rename() gets both paths in one buffer and does nothing."""

    def __init__(self, root):
        self.inner = vfs.VfsPosix(root)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def mount(self, *options):
        self.inner.mount(*options)

    def rename(self, old, new):
        with self.inner.open(old, "rb") as file:
            content = file.read()
        with self.inner.open(new, "wb") as file:
            file.write(content)
        self.inner.remove(old)


def main(root):
    vfs.umount("/")
    vfs.mount(Files(root), "/")
    os.chdir("/")
    repl = Repl()
    while True:
        # Ctrl-C as a signal, of which the code had just ended.
        try:
            while repl.step():
                pass
            return
        except KeyboardInterrupt:
            pass


main(sys.argv[1])
