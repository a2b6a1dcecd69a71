"""The one exception that is the user's to mend."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """A mistake that the user can correct. The message, one line, says what is wrong and what to do."""


class ScriptError(Exception):
    """A script of onboard/ failed in a way that only we can mend, or the kernels that it ran on."""


def script_failed(message: str, reason: str) -> Exception:
    """What to raise when a script ended with this line: memory, files and settings are the user's, else we err."""
    ours = "TypeError", "AttributeError", "NameError", "KeyError", "IndexError", "AssertionError", "RuntimeError"
    return (ScriptError if reason.startswith(ours) else UserError)(f"{message}: {reason}")


@contextlib.contextmanager
def as_user_error() -> Iterator[None]:
    """Around the check of a file or setting that a user gave: its ValueError or MemoryError is a UserError."""
    try:
        yield
    except (ValueError, MemoryError) as error:
        raise UserError(str(error)) from error


def printable(text: str) -> str:
    """A text as one line; the names of files in it may have any characters."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
