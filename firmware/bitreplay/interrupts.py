# Ctrl-C is held back while the learner's parts do not fit together.
#
# held(function, *arguments) calls the function to its end. A Ctrl-C meanwhile is a KeyboardInterrupt afterwards; on a
# board it goes to standard input instead, where the REPL takes it. kernels_held() does so only where Ctrl-C can cut a
# kernel in two, as it is NumPy's: one in C is whole.

import sys

if sys.implementation.name != "micropython":
    import signal
    import threading

    def held(function, *arguments):
        handler = signal.getsignal(signal.SIGINT)
        # Only the main thread receives KeyboardInterrupt; None is a handler that Python does not know.
        if handler is None or threading.current_thread() is not threading.main_thread():
            function(*arguments)
            return
        caught = []
        signal.signal(signal.SIGINT, lambda *_: caught.append(True))
        try:
            function(*arguments)
        finally:
            signal.signal(signal.SIGINT, handler)
        if caught:
            signal.raise_signal(signal.SIGINT)

    kernels_held = held

elif sys.platform in ("linux", "darwin"):
    # On the unix port kbd_intr(-1) would let Ctrl-C end the process. But only the main thread receives it.
    import _thread
    import time

    def held(function, *arguments):
        raised, ended, caught = [], [], None

        def work():
            try:
                function(*arguments)
            except BaseException as error:
                raised.append(error)
            ended.append(True)

        _thread.start_new_thread(work, ())
        while True:
            try:
                while not ended:
                    time.sleep_ms(1)
                break
            except KeyboardInterrupt as error:
                caught = error
        if raised or caught:
            raise raised[0] if raised else caught

else:
    try:
        from micropython import kbd_intr
    except ImportError:

        def kbd_intr(character):  # type: ignore[misc]
            """This port has no Ctrl-C."""

    def held(function, *arguments):
        kbd_intr(-1)
        try:
            # MicroPython raises at the end of a loop what came before.
            for _ in range(1):
                pass
            function(*arguments)
        finally:
            kbd_intr(character[0])


character = [3]  # what held() puts back: MicroPython does not tell what was set


def ctrl_c(code):
    """Sets the character that is a KeyboardInterrupt, as micropython.kbd_intr does: 3 is Ctrl-C, -1 none.

    learn() puts this one back. Nothing on CPython.
    """
    if sys.implementation.name == "micropython":
        import micropython

        if hasattr(micropython, "kbd_intr"):
            micropython.kbd_intr(code)
    character[0] = code


if sys.implementation.name == "micropython":

    def kernels_held(function, *arguments):
        function(*arguments)
