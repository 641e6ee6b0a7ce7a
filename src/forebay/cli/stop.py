"""``forebay stop``: what SIGTERM does, and it is there when it is done."""

import sys
from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.output import EXIT_FAILED, EXIT_FINE, complain
from forebay.cli.reaching import ReachError, reach
from forebay.control import Progress, Stopped, StopRequest
from forebay.control.messages import Answer


def stop(
    *,
    now: Annotated[bool, Parameter(negative=())] = False,
    socket: str | None = None,
    config: str | None = None,
) -> int:
    """Let a running Forebay finish its transactions and end, and wait until it has ended.

    It takes no more clients and lets transactions finish for node.drain_timeout. Ctrl-C ends the
    waiting, not the stopping. Exit codes: 0 it has ended, 1 its worker had to be killed or there
    is no Forebay, 2 several may be meant.

    Parameters
    ----------
    now
        End at once, whatever is under way; also one that is stopping already.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    """
    try:
        with reach(socket, config) as node:
            name = f"Forebay (process {node.pid})" if node.pid else "Forebay"
            say(f"Stopping {name}")
            ok = wait(node.ask(StopRequest(id=1, now=now)))
            has_ended = node.wait_for_exit()
    except ReachError as error:
        return error.tell("stop")
    if not has_ended:
        complain("stop", [f"{name} has stopped serving, but its process has not ended yet"])
        return EXIT_FAILED
    if not ok:
        complain("stop", [f"{name} has ended, but its worker had to be killed: see its log"])
        return EXIT_FAILED
    say(f"{name} has ended")
    return EXIT_FINE


def wait(answers: Iterable[Answer]) -> bool:
    """Tell of what is under way, each number once. Returns whether it has gone well."""
    told = 0
    for answer in answers:
        if isinstance(answer, Progress) and answer.clients not in (None, told):
            told = answer.clients
            say(f"{told} client{'s' * (told != 1)} left")
        elif isinstance(answer, Stopped):
            return answer.ok
    return False


def say(text: str) -> None:
    """At once: somebody waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
