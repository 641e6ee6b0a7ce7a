"""What the embedded database, and all that uses it, says when it cannot go on."""


class SetupError(Exception):
    """One line that says what is missing and what to do about it; shown without a traceback."""
