"""``forebay pause``, ``resume``, ``reconnect`` and ``kill``: PgBouncer's commands."""

import sys
from typing import Annotated

from cyclopts import Parameter

from forebay.channel import PoolAction
from forebay.cli.output import EXIT_FAILED, EXIT_FINE, complain
from forebay.cli.reaching import ReachError, reach
from forebay.cli.status import print_json
from forebay.control import PoolDone, PoolRequest, Progress

DONE: dict[PoolAction, str] = {
    "pause": "Paused: no connection is left",
    "resume": "Resumed",
    "reconnect": "Connections are closed as they come free",
    "kill": "Ended: new clients wait for forebay resume",
}

Database = Annotated[str, Parameter(name="DATABASE")]
AsJson = Annotated[bool, Parameter(name="--json", negative=())]


def pause(
    database: Database = "",
    /,
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    stay: Annotated[bool, Parameter(negative=())] = False,
    as_json: AsJson = False,
) -> int:
    """Let transactions finish, close the connections, and let clients wait until resume.

    Returns when no connection is left. Clients log in meanwhile, and wait for as long as
    connection_borrow_timeout allows; those that are pinned are waited for. Where the target has
    several servers, all goes on by itself when another one writes: pause, promote a standby, and
    that is all. Ctrl-C ends the waiting, and the pause with it. Exit codes: 0 paused, 1 not paused,
    2 several may be meant.

    Parameters
    ----------
    database
        The database that is paused; without it all of the proxy's.
    proxy
        The proxy; needed where there are several.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    stay
        Stay paused until forebay resume, whichever server writes.
    as_json
        Print one JSON object.
    """
    return _do("pause", database, proxy, socket, config, as_json, stays=stay)


def resume(
    database: Database = "",
    /,
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    as_json: AsJson = False,
) -> int:
    """End what pause or kill has begun: connections are opened and lent again.

    Exit codes: 0 resumed, 1 it was not paused or there is no Forebay, 2 several may be meant.

    Parameters
    ----------
    database
        A database that was paused by its name; without it everything is resumed.
    proxy
        The proxy; needed where there are several.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """
    return _do("resume", database, proxy, socket, config, as_json)


def reconnect(
    database: Database = "",
    /,
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    as_json: AsJson = False,
) -> int:
    """Close database connections as they come free; new ones are opened where they are needed.

    Exit codes: 0 done, 1 there is no Forebay, 2 several may be meant.

    Parameters
    ----------
    database
        Connections to this database only.
    proxy
        The proxy; needed where there are several.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """
    return _do("reconnect", database, proxy, socket, config, as_json)


def kill(
    database: Database = "",
    /,
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    as_json: AsJson = False,
) -> int:
    """End clients and database connections at once, and let new clients wait until resume.

    Exit codes: 0 done, 1 there is no Forebay or it is paused, 2 several may be meant.

    Parameters
    ----------
    database
        Clients and connections of this database only.
    proxy
        The proxy; needed where there are several.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """
    return _do("kill", database, proxy, socket, config, as_json)


def _do(
    action: PoolAction,
    database: str,
    proxy: str,
    socket: str | None,
    config: str | None,
    as_json: bool,
    *,
    stays: bool = False,
) -> int:
    """Have the node do it, and tell of it. Returns the exit code."""
    request = PoolRequest(id=1, action=action, proxy=proxy, database=database, stays=stays)
    told = 0
    try:
        with reach(socket, config) as node:
            for answer in node.ask(request):
                if isinstance(answer, Progress) and answer.connections not in (None, told):
                    told = answer.connections or 0
                    sys.stderr.write(f"{told} connection{'s' * (told != 1)} left\n")
                elif isinstance(answer, PoolDone):
                    if as_json:
                        print_json({"ok": True})
                    else:
                        sys.stdout.write(f"{DONE[action]}\n")
                    return EXIT_FINE
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell(action)
    complain(action, ["the node answers something else"])
    return EXIT_FAILED
