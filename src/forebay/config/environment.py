"""Settings from ``FOREBAY_…`` variables, laid over what the file says.

A key's variable is its path in capitals, joined by ``_``, with ``-`` written as ``_``::

    proxies.app.pool.max_connections_percent   FOREBAY_PROXIES_APP_POOL_MAX_CONNECTIONS_PERCENT
    proxies.app.auth[0].secret                 FOREBAY_PROXIES_APP_AUTH_0_SECRET
    proxies.app.users.reports.query_timeout    FOREBAY_PROXIES_APP_USERS_REPORTS_QUERY_TIMEOUT
    node.drain_timeout                         FOREBAY_NODE_DRAIN_TIMEOUT

While there is only one proxy, ``PROXIES_APP_`` may be left out: ``FOREBAY_LISTEN``. The name of a
user or database is the one in the file that reads so in capitals, else it is in small letters.
Underscores inside keys make the split ambiguous in general, so names are resolved against the known
keys and never cut blindly. An empty variable counts as not set. A list is comma-separated, or JSON;
so is a table of names (``app.f=SETTING,nextval=NONE``).
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from forebay.config.errors import Problem, nearest
from forebay.config.reading import Path, Reading, allowed, leaves, placeholder
from forebay.config.settings import DEFAULT_PROXY, LimitSettings, NodeSettings, ProxySettings

PREFIX = "FOREBAY_"
# Read elsewhere: not settings of the configuration.
NOT_SETTINGS = frozenset(
    {
        "FOREBAY_CONFIG",
        "FOREBAY_DATABASE_URL",
        "FOREBAY_LOG_FORMAT",
        "FOREBAY_LOG_LEVEL",
        "FOREBAY_POSTGRES_BIN",
    }
)
# A Kubernetes service named "forebay" puts these into every pod of its namespace.
_KUBERNETES = re.compile(r"FOREBAY_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
_FOR_TESTS = ("FOREBAY_TEST_", "FOREBAY_BENCH_", "FOREBAY_DEMO_")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class _Key:
    path: Path
    type: Any

    def at(self, index: int) -> Path:
        """The path with the list index filled in."""
        return tuple(index if part == 0 and isinstance(part, int) else part for part in self.path)


def variable(path: Path) -> str:
    """The environment variable of a key, e.g. ``FOREBAY_PROXIES_APP_AUTH_0_SECRET``."""
    return PREFIX + _upper("_".join(map(str, path)))


def _upper(text: str) -> str:
    return text.upper().replace("-", "_")


_PROXY_KEYS = {_upper("_".join(map(str, path))): _Key(path, t) for path, t in leaves(ProxySettings)}
_NODE_KEYS = {_upper("_".join(map(str, path))): _Key(path, t) for path, t in leaves(NodeSettings)}
# A limit of one user or one database: the table, the name, the key.
_LIMIT_KEYS = [_upper(item.encode_name) for item in msgspec.structs.fields(LimitSettings)]
_LIMIT = re.compile(rf"(USERS|DATABASES)_(\w+)_({'|'.join(_LIMIT_KEYS)})")
# Keys of the node that may be written without NODE_: the commands read this one, too.
_SHORT_NODE_KEYS = ("CONTROL_SOCKET",)


def overlay(raw: dict[str, Any], environ: Mapping[str, str], reading: Reading) -> None:
    """Lay the environment's settings over ``raw``, in place; note their origin in ``reading``."""
    proxies = raw.setdefault("proxies", {})
    if not isinstance(proxies, dict):
        return  # the reader says so
    in_file = dict(proxies)
    named_by_secrets = set(_secret_variables(environ, proxies)) | _token_variable(raw.get("node"))
    found: list[tuple[Path, str, Any]] = []
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or not text or name in named_by_secrets:
            continue
        if name in NOT_SETTINGS or name.startswith(_FOR_TESTS) or _KUBERNETES.fullmatch(name):
            continue
        try:
            path, annotation = _resolve(name, in_file)
            text.encode()
        except UnicodeEncodeError:
            reading.problems.append(Problem("environment", name, "is not UTF-8 text"))
            continue
        except ValueError as error:
            reading.problems.append(Problem("environment", name, str(error)))
            continue
        found.append((path, name, _parse(annotation, text)))
        reading.origins[path] = f"environment {name}"
        if allowed_text := _unreadable(annotation, found[-1][2]):
            reading.report(path, f"is {text!r}; it must be {allowed_text}")
            found.pop()
    for path, name, value in sorted(found, key=lambda item: tuple(map(_sortable, item[0]))):
        problem = _place(raw, path, value)
        if problem:
            reading.problems.append(Problem("environment", name, problem))


def _token_variable(node: Any) -> set[str]:
    """The name that ``control_token = "env:NAME"`` refers to."""
    source = node.get("control_token") if isinstance(node, dict) else None
    if isinstance(source, str) and source.startswith("env:"):
        return {source.removeprefix("env:")}
    return set()


def _secret_variables(environ: Mapping[str, str], proxies: dict[str, Any]) -> Iterator[str]:
    """Names that ``secret = "env:NAME"`` and ``access_keys = ["env:NAME"]`` refer to: they may
    start with FOREBAY_ too."""
    for name, text in environ.items():
        if name.startswith(PREFIX) and name.endswith("_IAM_ACCESS_KEYS"):
            yield from re.findall(r"env:([^,\s\"\]]+)", text)
        is_source = name.endswith(("_SECRET", "_CONTROL_TOKEN"))
        if name.startswith(PREFIX) and is_source and text.startswith("env:"):
            yield text.removeprefix("env:")
    for proxy in proxies.values():
        auth = proxy.get("auth") if isinstance(proxy, dict) else None
        for item in auth if isinstance(auth, list) else ():
            secret = item.get("secret") if isinstance(item, dict) else None
            if isinstance(secret, str) and secret.startswith("env:"):
                yield secret.removeprefix("env:")
        iam = proxy.get("iam") if isinstance(proxy, dict) else None
        keys = iam.get("access_keys") if isinstance(iam, dict) else None
        for source in keys if isinstance(keys, list) else ():
            if isinstance(source, str) and source.startswith("env:"):
                yield source.removeprefix("env:")


def _resolve(name: str, in_file: dict[str, Any]) -> tuple[Path, Any]:
    """The key's path and type. Raises ValueError with what is wrong about the name."""
    rest = name.removeprefix(PREFIX)
    if rest in _SHORT_NODE_KEYS:
        rest = f"NODE_{rest}"
    if rest.startswith("NODE_"):
        key = _NODE_KEYS.get(rest.removeprefix("NODE_"))
        if key is None:
            known = [f"{PREFIX}NODE_{one}" for one in _NODE_KEYS]
            raise ValueError(f"is not a known variable{nearest(name, known)}")
        return ("node", *key.path), key.type
    if rest.startswith("PROXIES_"):
        return _resolve_named(name, rest.removeprefix("PROXIES_"), in_file)
    known = [PREFIX + key for key in _PROXY_KEYS] + [f"{PREFIX}NODE_{one}" for one in _NODE_KEYS]
    first = next(iter(in_file), DEFAULT_PROXY)
    match = _match_key(rest, in_file.get(first))
    if match is None:
        raise ValueError(f"is not a known variable{nearest(name, known)}")
    if len(in_file) > 1:
        raise ValueError(f"does not say which proxy; write {PREFIX}PROXIES_{_upper(first)}_{rest}")
    return ("proxies", first, *match[0]), match[1]


def _resolve_named(name: str, rest: str, in_file: dict[str, Any]) -> tuple[Path, Any]:
    hits = [
        ("proxies", proxy, *match[0], match[1])
        for proxy in in_file
        if rest.startswith(_upper(proxy) + "_")
        and (match := _match_key(rest.removeprefix(_upper(proxy) + "_"), in_file[proxy]))
    ]
    if not hits:  # a proxy that only the environment knows: the longest key at the end decides
        for split in (i for i, letter in enumerate(rest) if letter == "_"):
            match = _match_key(rest[split + 1 :], None)
            if match and split:
                proxy = rest[:split].lower().replace("_", "-")
                return ("proxies", proxy, *match[0]), match[1]
        known = [f"{PREFIX}PROXIES_{_upper(p)}_{key}" for p in in_file for key in _PROXY_KEYS]
        raise ValueError(f"is not a known variable{nearest(name, known)}")
    if len(hits) > 1:
        raise ValueError(f"fits several keys: {', '.join(str(hit[1]) for hit in hits)}")
    return hits[0][:-1], hits[0][-1]


def _match_key(text: str, proxy: Any) -> tuple[Path, Any] | None:
    """The key of this variable's end below a proxy, which is `proxy` in the file; None if there is
    no such key. Raises ValueError if it fits several."""
    if match := _LIMIT.fullmatch(text):
        table, key = match[1].lower(), match[3].lower()
        name = _name_in(proxy, table, match[2])
        known = _PROXY_KEYS[f"{match[1]}_{placeholder(table)}_{match[3]}"]
        return (table, name, key), known.type
    index = 0
    if match := re.fullmatch(r"AUTH_(\d{1,3})_(\w+)", text):
        index, text = int(match[1]), f"AUTH_0_{match[2]}"
    key = _PROXY_KEYS.get(text)
    return (key.at(index), key.type) if key else None


def _name_in(proxy: Any, table: str, in_capitals: str) -> str:
    """The name of a user or a database that a variable means. Raises ValueError if it means
    several."""
    names = proxy.get(table) if isinstance(proxy, dict) else None
    meant = [each for each in names or () if _upper(str(each)) == in_capitals]
    if len(meant) > 1:
        raise ValueError(f"fits several {table}: {', '.join(meant)}")
    return meant[0] if meant else in_capitals.lower()


def _parse(annotation: Any, text: str) -> Any:
    """The variable's text as the type its key has; text that doesn't fit stays text."""
    annotation = _without_none(annotation)
    if annotation is bool:
        folded = text.strip().casefold()
        return True if folded in _TRUE else False if folded in _FALSE else text
    info = msgspec.inspect.type_info(annotation)
    if isinstance(info, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        try:
            return msgspec.convert(text.strip(), annotation, strict=False)
        except msgspec.ValidationError:
            return _number(text)
    if _takes_list(info):
        if text.lstrip().startswith("["):
            try:
                return msgspec.json.decode(text)
            except msgspec.DecodeError:
                pass  # "[::1]:6432" starts so as well
        return [item.strip() for item in text.split(",")]
    if isinstance(info, msgspec.inspect.DictType):
        return _names(text)
    return text


def _without_none(annotation: Any) -> Any:
    """The type of a key that may be absent: a variable always says something."""
    given = [each for each in get_args(annotation) if each is not type(None)]
    optional = get_origin(annotation) in (UnionType, Union) and len(given) == 1
    return given[0] if optional else annotation


def _names(text: str) -> Any:
    """A table from ``{"name": "WORD"}`` or ``name=WORD,name=WORD``; other text stays text."""
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    pairs = [item.rpartition("=") for item in text.split(",")]
    if any(not sign for _, sign, _ in pairs):
        return text
    return {name.strip(): word.strip() for name, _, word in pairs}


def _number(text: str) -> Any:
    """A number out of its key's range: kept as a number, so that the reader names the range."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _takes_list(info: msgspec.inspect.Type) -> bool:
    if isinstance(info, msgspec.inspect.UnionType):
        return any(map(_takes_list, info.types))
    return isinstance(info, msgspec.inspect.ListType)


def _unreadable(annotation: Any, value: Any) -> str:
    """What is allowed, when a bool or a number was given as something else; else ""."""
    wants_text = not isinstance(
        msgspec.inspect.type_info(_without_none(annotation)),
        msgspec.inspect.BoolType | msgspec.inspect.IntType | msgspec.inspect.FloatType,
    )
    return "" if wants_text or not isinstance(value, str) else allowed(annotation)


def _sortable(part: str | int) -> tuple[int, str]:
    return (part, "") if isinstance(part, int) else (-1, part)


def _place(raw: dict[str, Any], path: Path, value: Any) -> str:
    """Put ``value`` at ``path``, making tables on the way. Returns what is in the way, or ""."""
    here: Any = raw
    for part, after in itertools.pairwise(path):
        if isinstance(part, int):
            if part > len(here):
                return f"skips an index: there is no number {len(here)} before it"
            if part == len(here):
                here.append({})
            here = here[part]
        else:
            here = here.setdefault(part, [] if isinstance(after, int) else {})
        if not isinstance(here, list if isinstance(after, int) else dict):
            return "goes below a key that is not a table"
    here[path[-1]] = value
    return ""
