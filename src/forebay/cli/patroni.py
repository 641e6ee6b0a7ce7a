"""``forebay patroni-callback``: what Patroni runs when the role of its server changes.

Patroni runs it with its own three arguments behind those of patroni.yml (Patroni's documentation,
"YAML Configuration Settings", callbacks), and only notes in its log how it ended.
"""

import sys
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.output import EXIT_FAILED, EXIT_FINE
from forebay.cli.reaching import ReachError, printable, reach
from forebay.cli.status import print_json
from forebay.control import Expecting, ExpectRequest

ANSWER_TIMEOUT_S = 2.0
# It changes nothing of who writes.
NO_CHANGE = "on_reload"


def patroni_callback(
    action: Annotated[str, Parameter(name="ACTION")],
    role: Annotated[str, Parameter(name="ROLE")],
    scope: Annotated[str, Parameter(name="SCOPE")],
    /,
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    strict: Annotated[bool, Parameter(negative=())] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell a running Forebay that the role of a database server changes now.

    Forebay then asks all servers every 100 ms for 30 s which of them writes; what Patroni says is
    believed of none. It returns at once. So that nothing of Patroni depends on Forebay, it ends
    with 0 even if there is none that could be told, and says so on stderr.
    Exit codes: 0 always, or with --strict 1 if no Forebay was told, 2 several may be meant.

    Parameters
    ----------
    action
        As Patroni gives it: on_role_change, on_start, on_stop, on_restart; on_reload is no news.
    role
        As Patroni gives it: primary (master before Patroni 4), replica and others.
    scope
        As Patroni gives it: the name of its cluster.
    proxy
        Only this proxy's servers; without it those of all proxies that have several.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    strict
        Fail if no Forebay was told.
    as_json
        Print one JSON object.
    """
    if action == NO_CHANGE:
        if as_json:
            print_json({"ok": True, "proxies": []})
        return EXIT_FINE
    reason = f"Patroni: {action} {role} {scope}"
    try:
        with reach(socket, config) as node:
            request = ExpectRequest(id=1, proxy=proxy, reason=reason)
            found = node.answer_to(request, Expecting, ANSWER_TIMEOUT_S).proxies
    except ReachError as error:
        code = error.code
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
        else:
            error.tell("patroni-callback")
        return code if strict else EXIT_FINE
    if as_json:
        print_json({"ok": bool(found), "proxies": found})
    elif found:
        sys.stdout.write(f"Forebay looks for the writer of {printable(', '.join(found))}\n")
    else:
        sys.stderr.write(
            "forebay patroni-callback: this Forebay has no proxy with several database servers\n"
        )
    return EXIT_FINE if found or not strict else EXIT_FAILED
