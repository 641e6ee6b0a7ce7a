"""``forebay reload``: what SIGHUP does, with an answer."""

import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter

from forebay.cli.output import EXIT_FAILED, EXIT_FINE
from forebay.cli.reaching import ReachError, complain_at_length, printable, reach
from forebay.cli.status import print_json, reload_lines
from forebay.control import ReloadAnswer, ReloadRequest
from forebay.node.reloads import NOT_RELOADED


def reload(
    *,
    socket: str | None = None,
    config: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Let a running Forebay read its configuration, secrets and certificates again.

    Tells what has changed, and what waits for a restart. If anything is wrong with the new ones
    nothing changes, and all that is wrong is told. Exit codes: 0 reloaded, 1 nothing has changed or
    there is no Forebay, 2 several may be meant.

    Parameters
    ----------
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with, and reads again. Without it
        FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """
    try:
        with reach(socket, config) as node:
            found = node.answer_to(ReloadRequest(id=1), ReloadAnswer).reload
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell("reload")
    if as_json:
        print_json(msgspec.to_builtins(found))
    elif found.ok:
        sys.stdout.write("\n".join(map(printable, (*reload_lines(found), "Reloaded"))) + "\n")
    else:
        complain_at_length("reload", "\n".join((NOT_RELOADED, *found.problems)))
    return EXIT_FINE if found.ok else EXIT_FAILED
