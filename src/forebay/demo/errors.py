"""What the demo and the embedded database say when they cannot go on."""


class DemoError(Exception):
    """One line that says what is missing and what to do about it; shown without a traceback."""
