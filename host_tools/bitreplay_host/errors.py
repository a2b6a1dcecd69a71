"""The one exception that is the user's to mend."""


class UserError(Exception):
    """Something that the user can put right. The message, one line, says what is wrong and what to do."""
