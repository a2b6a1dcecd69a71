"""The one exception that is the user's to mend."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """Something that the user can put right. The message, one line, says what is wrong and what to do."""


@contextlib.contextmanager
def users() -> Iterator[None]:
    """Around the check of a file or setting that a user gave: its ValueError or MemoryError is a UserError."""
    try:
        yield
    except (ValueError, MemoryError) as error:
        raise UserError(str(error)) from error
