"""What can happen to the primary of a pair. Each fault takes the pair, and returns when it has
struck; what happens next (a promotion, a new copy) is the test's to do."""

import signal
from collections.abc import Callable

from forebay.protocol.errors import PgError
from tests.harness.waiting import eventually
from tests.nemesis.pair import Pair, Server, send

Fault = Callable[[Pair], None]


def fast_stop(pair: Pair) -> None:
    """As an operator stops it: sessions are told 57P01, and the standby gets all there is."""
    pair.primary.stop("fast")


def immediate_stop(pair: Pair) -> None:
    """It dies at once; sessions get a notice."""
    pair.primary.stop("immediate")


def kill_postmaster(pair: Pair) -> None:
    """SIGKILL to the postmaster: backends that compute go on, may commit, and acknowledge it."""
    pair.primary.kill()


def freeze(pair: Pair) -> None:
    """SIGSTOP to all of it: connections are still taken, by the kernel, and nothing is said."""
    pair.primary.freeze()


def freeze_postmaster(pair: Pair) -> None:
    """SIGSTOP to the postmaster: sessions work on, new ones hang."""
    pair.primary.freeze(backends=False)


def kill_backend(pair: Pair) -> None:
    """SIGKILL to one session: the server ends all others, recovers, and is there again."""
    server = pair.primary
    text = "SELECT pid FROM pg_stat_activity WHERE usename = 'rig' LIMIT 1"
    with server.session() as session:
        [[pid]] = session.query(text)
    send(signal.SIGKILL, [int(pid or 0)])
    eventually(lambda: takes_writes(server), "the server has recovered", timeout_s=30)
    pair.wait_for_sync()


def takes_writes(server: Server) -> bool:
    """Whether it answers, and is no standby."""
    try:
        return bool(server.ask("SELECT pg_is_in_recovery()") == "f")
    except (OSError, EOFError, PgError):
        return False


def end_sessions(pair: Pair) -> None:
    """pg_terminate_backend on every session of the rig's user: no failover at all."""
    text = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'rig'"
    pair.primary.ask(text)


def nothing(pair: Pair) -> None:
    """The old primary goes on, and takes writes, beside the new one (split brain)."""
    pair.stop_waiting()


def read_only(pair: Pair) -> None:
    """As a blue/green deployment begins: nobody may write any more, sessions stay."""
    pair.primary.configure(default_transaction_read_only="on")
    eventually(lambda: pair.primary.ask("SHOW default_transaction_read_only") == "on")
