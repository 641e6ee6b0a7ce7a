"""What all commands share: exit codes, and how errors are told."""

import signal
import sys
from collections.abc import Sequence

from forebay.sql.known_answers import MisreadError, require_right_reading

EXIT_FINE = 0
EXIT_FAILED = 1
EXIT_WRONG_USE = 2
INTERRUPTED = 128 + signal.SIGINT  # as shells have it


def complain(command: str, problems: Sequence[str]) -> None:
    """One problem on one line; several as a list under a heading."""
    if len(problems) == 1:
        sys.stderr.write(f"forebay {command}: {problems[0]}\n")
        return
    sys.stderr.write(f"forebay {command}: {len(problems)} problems\n")
    for problem in problems:
        sys.stderr.write(f"  - {problem}\n")


def interpreter_problem() -> str | None:
    """Why this Python cannot be trusted to read SQL; None if it can."""
    try:
        require_right_reading()
    except MisreadError as error:
        return str(error)
    return None
