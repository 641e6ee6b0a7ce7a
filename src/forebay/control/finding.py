"""Which node a command means: by a socket, by a configuration's file, or the only one that runs."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forebay.config.loading import MAX_FILE_BYTES, means_url
from forebay.control.client import ControlClient, ControlError, StaleError
from forebay.control.messages import Who, WhoRequest
from forebay.control.places import sockets

# Who it is a node tells at once, even if its worker does not answer.
WHO_TIMEOUT_S = 10.0
_SOCKET_VARIABLES = ("FOREBAY_CONTROL_SOCKET", "FOREBAY_NODE_CONTROL_SOCKET")


class ChoiceError(ControlError):
    """It does not say which node is meant: another command line would."""


@dataclass(slots=True)
class _Search:
    """What has been found. ``others``: in sentences, the sockets that are of no use."""

    nodes: dict[str, Who] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def find(socket: str | None, config: str | None, environ: Mapping[str, str]) -> str:
    """The path of the control socket that a command should use.

    ``socket``: a path that was named; ``config``: a file whose node is meant. Without both, the
    variables FOREBAY_CONTROL_SOCKET and FOREBAY_CONFIG are asked; without these too, it is the only
    node that runs. Raises ControlError when there is none, ChoiceError when there are several, or
    both were named, or what can be no path. No error repeats what may be a URL with a password.
    """
    if socket is not None and config is not None:
        raise ChoiceError("give --socket or --config, not both")
    if socket is not None:
        return _path("--socket", socket)
    if config is not None:
        config = _path("--config", config)
    else:
        for name in _SOCKET_VARIABLES:
            if path := environ.get(name):
                return os.path.abspath(_path(name, path))  # noqa: PTH100 - resolves no links
        config = environ.get("FOREBAY_CONFIG") or None
        if config is not None and means_url(config):  # a node with a URL is one among all
            config = None
    file = None if config is None else str(Path(config).resolve())
    candidates, sought = sockets(environ)
    if file is not None and (named := _socket_in(file)):
        candidates.insert(0, Path(named))
    search = _look(candidates, file)
    if len(search.nodes) == 1:
        return next(iter(search.nodes))
    which = f" with {file}" if file else ""
    if not search.nodes:
        raise ControlError("\n".join((_none(which, sought), *search.others)))
    raise ChoiceError(_several(which, search.nodes))


def _path(where: str, text: str) -> str:
    if means_url(text):
        raise ChoiceError(f"{where} names a file, not a URL")
    if "\0" in text:
        raise ChoiceError(f"{where}: holds a zero byte")
    return text


def _look(candidates: list[Path], file: str | None) -> _Search:
    """Ask all of them who they are; with ``file``, only nodes that were started with it count."""
    search = _Search()
    for path in dict.fromkeys(map(os.path.realpath, candidates)):
        try:
            with ControlClient(path) as client:
                who = client.answer_to(WhoRequest(id=1), Who, WHO_TIMEOUT_S)
        except StaleError:
            search.others.append(
                f"{path}: left by a node that has ended; the next start removes it"
            )
            continue
        except ControlError as error:
            search.others.append(str(error))
            continue
        if file is not None and who.configuration != file:
            search.others.append(f"{path}: {_in_words(who)}")
        else:
            search.nodes[path] = who
    return search


def _socket_in(file: str) -> str | None:
    """``node.control_socket`` of a file that may be wrong in everything else: a node runs with an
    older state of it."""
    try:
        with Path(file).open("rb") as opened:
            raw = tomllib.loads(opened.read(MAX_FILE_BYTES).decode())
        path = raw["node"]["control_socket"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(path, str) or not path or "\0" in path:
        return None
    return str((Path(file).parent / path).absolute())


def _none(which: str, sought: list[str]) -> str:
    return (
        f"no Forebay{which} was found in {', '.join(sought)}: if one runs, name its socket"
        " (--socket PATH) or its configuration (--config FILE)"
    )


def _several(which: str, nodes: Mapping[str, Who]) -> str:
    lines = [f"--socket {path}: {_in_words(who)}" for path, who in nodes.items()]
    return "\n".join((f"{len(nodes)} Forebays{which} run here; name one of them:", *lines))


def _in_words(who: Who) -> str:
    return f"process {who.pid}, {who.configuration}, on {', '.join(who.listen) or 'no address yet'}"
