"""The files of the page, which are part of the package. Each is read once, when it is asked for."""

import functools
from importlib import resources
from typing import Final

FOLDER: Final = "page"
INDEX: Final = "index.html"
LOGIN: Final = "login.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@functools.cache
def names() -> frozenset[str]:
    """All files, as in an address behind its first slash: ``js/live.js``."""
    found = []
    todo = [(resources.files("forebay.dashboard") / FOLDER, "")]
    while todo:
        folder, prefix = todo.pop()
        for each in folder.iterdir():
            if each.is_dir():
                todo.append((each, f"{prefix}{each.name}/"))
            elif each.name.rpartition(".")[2] in _TYPES:
                found.append(f"{prefix}{each.name}")
    return frozenset(found)


@functools.cache
def content(name: str) -> bytes:
    """One of `names`."""
    return (resources.files("forebay.dashboard") / FOLDER).joinpath(name).read_bytes()


def media_type(name: str) -> str:
    """What it is told to be."""
    return _TYPES[name.rpartition(".")[2]]
