# Ctrl-C is held back while the learner's parts do not fit together.

try:
    from micropython import kbd_intr

    class Held:
        """with Held(): Ctrl-C is ignored inside."""

        def __enter__(self):
            kbd_intr(-1)

        def __exit__(self, *exc):
            kbd_intr(3)

except ImportError:
    import signal
    import threading

    class Held:
        """with Held(): Ctrl-C is ignored inside."""

        def __enter__(self):
            # Only the main thread has signals, and only it receives KeyboardInterrupt.
            self.main = threading.current_thread() is threading.main_thread()
            if self.main:
                self.handler = signal.signal(signal.SIGINT, signal.SIG_IGN)

        def __exit__(self, *exc):
            if self.main:
                signal.signal(signal.SIGINT, self.handler)
