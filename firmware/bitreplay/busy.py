# One call at a time works in the buffers of a network and its learners, as they share its scratch. Another may come in
# its middle: from a timer's callback, from that of learn(), or on the second core, which no interpreter's lock stops.
#
#     with idle(net.busy): ...
#
# takes a Lock, or is a RuntimeError; it waits for nothing and allocates nothing. Whenever Ctrl-C comes, the lock is
# released: between taking it and being in the `with`, and back, is nothing where an interpreter looks for signals.

import sys


def refuse():
    raise RuntimeError("the network is in use by another call, its own or a learner's; wait until it returns")


if sys.implementation.name != "micropython":
    # CPython looks for signals wherever a function of Python begins: only a lock's own `with` has none.
    from threading import Lock

    def idle(lock):
        """The Lock, which is free, for a `with`. (Where another thread takes it first, that waits.)"""
        if lock.locked():
            refuse()
        return lock

else:
    try:
        from _thread import allocate_lock  # also between the cores of an RP2040, and in a hard interrupt
    except ImportError:

        class allocate_lock:  # type: ignore[no-redef]
            """Where there are no threads. A callback, also in its middle, ends before what it interrupts goes on."""

            def __init__(self):
                self.taken = False

            def acquire(self, wait):
                before, self.taken = self.taken, True
                return not before

            def release(self):
                self.taken = False

    def _proceed():
        pass

    class Lock:  # type: ignore[no-redef]
        """A lock that is taken at once or not at all. MicroPython looks for signals only at branches: here is none."""

        then = refuse, _proceed

        def __init__(self):
            self.lock = allocate_lock()

        def __enter__(self):
            self.then[self.lock.acquire(False)]()

        def __exit__(self, kind, error, trace):
            self.lock.release()

    def idle(lock):
        return lock
