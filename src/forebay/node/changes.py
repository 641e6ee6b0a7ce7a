"""What a reload changes, and what has to wait for a restart. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from forebay.config.reading import Path, dotted
from forebay.config.settings import Config, ProxySettings, TargetSettings
from forebay.node.materials import Material

# Sockets are opened once and inherited by the workers: these keys name what is listened on.
FIXED_PROXY_KEYS = ("listen",)
FIXED_NODE_KEYS = ("control_listen", "control_socket")
# Connections to the old one are open: a worker could not follow, but the next one would.
FIXED_TARGET_KEYS = TargetSettings.__struct_fields__

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Changes:
    """``changed`` and ``fixed`` are sentences; ``effective`` is what to run from now on."""

    effective: Config
    changed: list[str]
    fixed: list[str]


def compare(old: Config, new: Config) -> Changes:
    """Hold the new configuration against the running one."""
    fixed: list[str] = []
    proxies: dict[str, ProxySettings] = {}
    given = dict(new.given_secrets)
    for name, running in old.proxies.items():
        if name not in new.proxies:
            fixed.append(f"proxies.{name} was removed; it goes on as it was until a restart")
            proxies[name] = running
            given |= {key: value for key, value in old.given_secrets.items() if key not in given}
            continue
        here = ("proxies", name)
        proxy = _keep(running, new.proxies[name], FIXED_PROXY_KEYS, here, fixed)
        target = _keep(running.target, proxy.target, FIXED_TARGET_KEYS, (*here, "target"), fixed)
        proxies[name] = msgspec.structs.replace(proxy, target=target)
    fixed += (f"proxies.{n} is new; it starts with a restart" for n in new.proxies.keys() - proxies)
    node = _keep(old.node, new.node, FIXED_NODE_KEYS, ("node",), fixed)
    effective = msgspec.structs.replace(new, node=node, proxies=proxies, given_secrets=given)
    changed = [*_differences(old.node, node, ("node",))]
    for name, proxy in proxies.items():
        changed += _differences(old.proxies[name], proxy, ("proxies", name))
    return Changes(effective, changed, fixed)


def compare_materials(old: Mapping[str, Material], new: Mapping[str, Material]) -> list[str]:
    """What is different in secrets and certificates, in sentences without any secret."""
    changed: list[str] = []
    for name, material in new.items():
        before = old.get(name)
        if before is None:
            continue
        was = {each.username: each for each in before.credentials}
        now = {each.username: each for each in material.credentials}
        where = f"proxies.{name}"
        changed += (f'{where}: user "{user}" is new' for user in now.keys() - was.keys())
        changed += (f'{where}: user "{user}" is gone' for user in was.keys() - now.keys())
        changed += (
            f'{where}: the password of "{user}" is another'
            for user in now.keys() & was.keys()
            if now[user].password != was[user].password
        )
        if before.access_keys != material.access_keys:
            changed.append(f"{where}: the access keys for IAM tokens are others")
        if before.certificate != material.certificate:
            changed.append(f"{where}: the TLS certificate is another")
    return sorted(changed)


def _keep(running: S, new: S, keys: Iterable[str], path: Path, fixed: list[str]) -> S:
    for key in keys:
        old = getattr(running, key)
        if getattr(new, key) != old:
            fixed.append(_fixed((*path, key), old))
            new = msgspec.structs.replace(new, **{key: old})
    return new


def _fixed(path: Path, old: Any) -> str:
    return f"{dotted(path)} can't change while running; it stays {_text(old)} until a restart"


def _differences(old: Any, new: Any, path: Path) -> Iterator[str]:
    for item in msgspec.structs.fields(type(new)):
        before, after = getattr(old, item.name), getattr(new, item.name)
        if before == after:
            continue
        here = (*path, item.encode_name)
        if isinstance(after, msgspec.Struct) and isinstance(before, msgspec.Struct):
            yield from _differences(before, after, here)
        elif item.name == "auth":  # who came and went is told from the credentials
            yield f"{dotted(here)}: the entries are others"
        else:
            yield f"{dotted(here)}: {_text(before)} → {_text(after)}"


def _text(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, float):
        return f"{value:g}"  # as people write it: 30, not 30.0
    return msgspec.json.encode(value).decode()
