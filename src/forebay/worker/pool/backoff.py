"""How long a micro-pool whose openings fail waits before it tries again."""

from dataclasses import dataclass

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError

# The next try waits; doubled each time.
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 2.0
# What the database refused for good (a wrong password, say) is told to clients for so long without
# asking it again.
REFUSAL_KEPT_S = 1.0

# A refusal by the database that time may heal: too many connections, starting up, shutting down, a
# cancel that was meant for somebody else.
_TRANSIENT = ("53", "57", "58", "08")


@dataclass(frozen=True, slots=True)
class Backoff:
    """The last opening failed with `error`, and time may heal that or not; the next try is due at
    `retry_at`, after `delay_s`. `since`: when the first of these failures was."""

    error: Exception
    is_transient: bool
    retry_at: float
    delay_s: float
    since: float

    @classmethod
    def after(cls, error: Exception, now: float, previous: "Backoff | None") -> "Backoff":
        """Returns the back-off after a failed opening. `previous` is that of the failure before;
        None if an opening has succeeded since."""
        is_transient = _is_transient(error)
        if not is_transient:
            delay_s = REFUSAL_KEPT_S
        elif previous is None:
            delay_s = FIRST_RETRY_S
        else:
            delay_s = min(2 * previous.delay_s, LONGEST_RETRY_S)
        since = now if previous is None else previous.since
        return cls(error, is_transient, now + delay_s, delay_s, since)


def _is_transient(error: Exception) -> bool:
    if isinstance(error, PgError):
        return error.sqlstate.startswith(_TRANSIENT)
    return isinstance(error, ConnectError) and error.transient
