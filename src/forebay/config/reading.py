"""Plain values (from TOML or the environment) into settings, collecting every problem.

msgspec stops at the first thing that is wrong; an operator wants all of it in one go. So the walk
over the structs is done here, and msgspec converts the leaves.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

from forebay.config.errors import Problem, meant_by, nearest

Path = tuple[str | int, ...]
T = TypeVar("T", bound=msgspec.Struct)

# Values of these keys are never repeated in an error: someone may have put the secret itself there.
_NEVER_SHOWN = frozenset({"secret", "auth", "access_keys", "control_token"})
_SHOWN_LENGTH = 60


# What must hold inside one struct, yielding (path below it, what is wrong).
Check = Callable[[Any], Iterable[tuple[Path, str]]]


@dataclass(slots=True)
class Reading:
    """What has been found while reading: problems, and where each overridden key came from."""

    source: str
    checks: Mapping[type, Check] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _wrong: set[Path] = field(default_factory=set)

    def report(self, path: Path, text: str) -> None:
        """Note a problem, and that ``path`` and what is above it can't be relied on."""
        self.problems.append(Problem(self.origins.get(path, self.source), dotted(path), text))
        self._wrong.update(path[:length] for length in range(1, len(path) + 1))

    def check(self, settings: msgspec.Struct, path: Path) -> None:
        """Run the check for this struct; what it says about keys already wrong is dropped."""
        wrong = frozenset(self._wrong)
        for below, text in self.checks.get(type(settings), lambda _: ())(settings):
            if not below or (*path, *below) not in wrong:
                self.report((*path, *below), text)


def dotted(path: Path) -> str:
    """``("proxies", "app", "auth", 0, "secret")`` → ``proxies.app.auth[0].secret``.

    A part with a dot in it is quoted, as TOML has it.
    """
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            name = f'"{part}"' if "." in part else part
            out += f".{name}" if out else name
    return out


def struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    """The settings struct that a field holds, directly, or None, or as items of a list or dict."""
    if get_origin(annotation) is UnionType:
        return next(filter(None, map(struct_in, get_args(annotation))), None)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    if get_origin(annotation) in (list, dict):
        return struct_in(get_args(annotation)[-1])
    return None


def placeholder(key: str) -> str:
    """What stands for any name below a table of tables: USER for ``users``."""
    return key.upper().removesuffix("S")


def leaves(cls: type[msgspec.Struct], *, prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every key under ``cls`` as (path, type); an item of a list stands as ``0``, and a name that
    is free as its ``placeholder``."""
    for item in msgspec.structs.fields(cls):
        inner = struct_in(item.type)
        if inner is None:
            yield (*prefix, item.encode_name), item.type
        elif get_origin(item.type) is list:
            yield from leaves(inner, prefix=(*prefix, item.encode_name, 0))
        elif get_origin(item.type) is dict:
            name = placeholder(item.encode_name)
            yield from leaves(inner, prefix=(*prefix, item.encode_name, name))
        elif get_origin(item.type) in (None, UnionType):
            yield from leaves(inner, prefix=(*prefix, item.encode_name))


def read_struct(cls: type[T], raw: Any, path: Path, reading: Reading) -> T | None:
    """Build ``cls`` from a table; problems go to ``reading``.

    A key that is wrong keeps its default meanwhile, so that one pass can find what is wrong with
    the others. None when ``raw`` is no table at all.
    """
    if not isinstance(raw, dict):
        reading.report(path, f"is {_shown(path, raw)}; it must be a table")
        return None
    fields = {item.encode_name: item for item in msgspec.structs.fields(cls)}
    for key in raw:
        if key not in fields:
            reading.report((*path, key), f"is not a known key{nearest(str(key), fields)}")
    values: dict[str, Any] = {}
    for key, item in fields.items():
        here = (*path, key)
        inner = struct_in(item.type)
        value = None
        if key in raw:
            value = _read_value(item.type, raw[key], here, reading)
        elif item.required and inner is not None:
            # An absent table is read as an empty one, so that its missing keys are named.
            value = read_struct(inner, {}, here, reading)
        elif item.required:
            reading.report(here, f"is missing; it must be {allowed(item.type)}")
        if value is not None:
            values[item.name] = value
        elif item.required and inner is not None:
            return None
        elif item.required:
            values[item.name] = [] if get_origin(item.type) is list else ""
    settings = cls(**values)
    reading.check(settings, path)
    return settings


def _read_value(annotation: Any, raw: Any, path: Path, reading: Reading) -> Any:
    """The value, or None when it is wrong (and has been reported)."""
    inner = struct_in(annotation)
    if inner is not None and get_origin(annotation) is list:
        if not isinstance(raw, list):
            reading.report(path, f"is {_shown(path, raw)}; it must be a list: [[{dotted(path)}]]")
            return None
        items = [read_struct(inner, item, (*path, i), reading) for i, item in enumerate(raw)]
        return [item for item in items if item is not None]
    if inner is not None and get_origin(annotation) is dict:
        return _read_tables(inner, raw, path, reading)
    if inner is not None:
        return read_struct(inner, raw, path, reading)
    if get_origin(annotation) is dict:
        return _read_names(annotation, raw, path, reading)
    try:
        value = msgspec.convert(raw, annotation)
    except msgspec.ValidationError:
        value = math.nan
    if isinstance(value, float) and not math.isfinite(value):
        reading.report(path, f"is {_shown(path, raw)}; it must be {allowed(annotation)}")
        return None
    return value


def _read_tables(
    cls: type[msgspec.Struct], raw: Any, path: Path, reading: Reading
) -> dict[str, msgspec.Struct] | None:
    """A table whose keys are free, and whose values are tables; None if it is no table."""
    if not isinstance(raw, dict):
        example = dotted((*path, placeholder(str(path[-1]))))
        reading.report(path, f"is {_shown(path, raw)}; it must be a table of tables: [{example}]")
        return None
    found = {name: read_struct(cls, table, (*path, name), reading) for name, table in raw.items()}
    return {name: settings for name, settings in found.items() if settings is not None}


def _read_names(annotation: Any, raw: Any, path: Path, reading: Reading) -> Any:
    """A table whose keys are free, and whose values are words of a list; None if it is no table."""
    if not isinstance(raw, dict):
        reading.report(path, f"is {_shown(path, raw)}; it must be {allowed(annotation)}")
        return None
    word = get_args(annotation)[1]
    found = {}
    for key, value in raw.items():
        if path in reading.origins:
            reading.origins[*path, key] = reading.origins[path]
        if isinstance(value, str) and value in get_args(word):
            found[key] = value
            continue
        text = f"is {_shown(path, value)}; it must be {allowed(word)}"
        if isinstance(value, dict):
            text += f' (a name with a dot in it is quoted: "{key}.…")'
        elif isinstance(value, str):
            text += meant_by(value, get_args(word))
        reading.report((*path, key), text)
    return found


def _shown(path: Path, raw: Any) -> str:
    if next((part for part in reversed(path) if isinstance(part, str)), "") in _NEVER_SHOWN:
        return f"a value of type {type(raw).__name__} (not shown)"
    if isinstance(raw, str | bool | int | float | list):
        text = msgspec.json.encode(raw, enc_hook=str).decode()
        if isinstance(raw, float) and not math.isfinite(raw):
            text = str(raw)
        return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"
    return "a table" if isinstance(raw, dict) else f"a {type(raw).__name__}"


def allowed(annotation: Any) -> str:
    """What a key may hold, in words: ``a whole number from 1 to 100``."""
    return _in_words(inspect.type_info(annotation))


def _in_words(info: inspect.Type) -> str:
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_range(info.ge, info.gt, info.le)}"
        case inspect.FloatType():
            return f"a number{_range(info.ge, info.gt, info.le)}"
        case inspect.LiteralType():
            return "one of " + ", ".join(f'"{value}"' for value in info.values)
        case inspect.StrType(max_length=longest) if longest is not None:
            return f"a string of at most {longest} characters"
        case inspect.StrType():
            return "a string"
        case inspect.DictType():
            return f"a table of names, each with {_in_words(info.value_type)}"
        case inspect.ListType():
            return f"a list, each item {_in_words(info.item_type)}"
        case inspect.UnionType():
            known = [one for one in info.types if not isinstance(one, inspect.NoneType)]
            return " or ".join(map(_in_words, known))
        case _:
            raise TypeError(f"no words for {info}")


def _range(ge: float | None, gt: float | None, le: float | None) -> str:
    low = f"from {ge:g}" if ge is not None else f"above {gt:g}" if gt is not None else ""
    if le is None:
        return f" {low}" if low else ""
    high = f"{le:.0f}"
    return f" {low} to {high}" if ge is not None else f" {low} up to {high}"
