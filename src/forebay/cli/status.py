"""``forebay status``: what a running node says of itself."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
from cyclopts import Parameter

from forebay.cli.output import EXIT_FAILED, EXIT_FINE
from forebay.cli.reaching import ReachError, duration, moment, printable, reach
from forebay.control import StatusAnswer, StatusRequest
from forebay.node.reloads import Reload
from forebay.node.status import ProxyStatus, Status
from forebay.node.target_status import TargetStatus


def status(
    *,
    socket: str | None = None,
    config: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell whether a running Forebay serves, and what it does now.

    Says since when it runs and with which configuration, what the last reload came to, and for each
    proxy its clients, its database connections and their limit. Exit codes: 0 it serves, 1 it does
    not (the last line says why) or there is none, 2 several may be meant.

    Parameters
    ----------
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """
    try:
        with reach(socket, config) as node:
            found = node.answer_to(StatusRequest(id=1), StatusAnswer).status
            path = node.path
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell("status")
    if as_json:
        print_json({"control_socket": path, **msgspec.to_builtins(found)})
    else:
        now = time.time()
        sys.stdout.write("\n".join(map(printable, lines(found, path, now))) + "\n")
    return EXIT_FINE if found.ok else EXIT_FAILED


def print_json(answer: object) -> None:
    """One line."""
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def lines(found: Status, path: str, now: float) -> Iterator[str]:
    """The status for people, ``now`` being the Unix time."""

    def since(at: float) -> str:
        return f"since {moment(at)} ({duration(now - at)})"

    yield f"Forebay {found.version}, process {found.pid}, {since(found.started_at)}"
    yield f"  configuration   {found.configuration}"
    yield f"  control socket  {path}"
    if found.worker is None:
        yield "  worker          none at the moment"
    else:
        yield f"  worker          process {found.worker.pid}, {since(found.worker.started_at)}"
    if found.worker_restarts:
        yield f"                  {found.worker_restarts} had died before"
    yield from _reload(found.reload)
    for proxy in found.proxies:
        yield from _proxy(proxy)
    if found.ok:
        yield "It serves."
    for problem in found.problems:
        yield f"It does not serve: {problem}"


def _servers(found: TargetStatus) -> Iterator[str]:
    why = f": {found.cause}" if found.cause else ""
    yield f"  servers         {found.state}{why} (epoch {found.epoch})"
    for each in found.servers:
        details = [each.role.lower().replace("_", "-") if each.role != "UNKNOWN" else "", each.text]
        if each.timeline:
            details.append(f"timeline {each.timeline}")
        if each.lag_s is not None:
            details.append(f"{each.lag_s:.1f} s behind")
        told = "".join(f", {each}" for each in details if each)
        yield f"                  {each.address} {each.health}{told}"
    if found.trouble:
        yield f"                  {found.trouble}"


def _reload(reload: Reload | None) -> Iterator[str]:
    if reload is None:
        yield "  last reload     none"
        return
    outcome = "" if reload.ok else ": nothing has changed"
    yield f"  last reload     {moment(reload.at)}{outcome}"
    for each in reload_lines(reload):
        yield f"                  {each}"


def reload_lines(reload: Reload) -> Iterator[str]:
    """What a reload came to, in the log's sentences."""
    yield from reload.problems
    yield from reload.waiting
    yield from (f"Changed: {each}" for each in reload.changed)
    yield from (f"Warning: {each}" for each in reload.warnings)
    if reload.ok and not reload.changed:
        yield "Nothing has changed" if not reload.waiting else "Nothing else has changed"


def _proxy(proxy: ProxyStatus) -> Iterator[str]:
    listen = ", ".join(proxy.listen) or "no address yet"
    yield f"proxy {proxy.name}: {listen} → {', '.join(proxy.target)}"
    if proxy.client_connections is not None:
        yield (
            f"  clients         {proxy.client_connections}"
            f" (at most {proxy.max_client_connections}),"
            f" {proxy.clients_waiting} waiting, {proxy.clients_pinned} pinned"
        )
        yield (
            f"  connections     {proxy.database_connections},"
            f" {proxy.database_connections_borrowed} of them borrowed"
        )
    if proxy.servers is not None:
        yield from _servers(proxy.servers)
    yield f"  limit           {proxy.limit}"
    if proxy.paused:
        yield f"  paused          {', '.join(each or 'all databases' for each in proxy.paused)}"
    yield from (f"  warning         {each}" for each in proxy.warnings)
