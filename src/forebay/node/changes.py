"""What a reload changes, and what has to wait for a restart. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from forebay.config.reading import Path, dotted, struct_in
from forebay.config.settings import Config
from forebay.node.materials import Material
from forebay.node.users import changed_users

# What is opened once, when the node starts: sockets, and ways to those who collect metrics.
FIXED_NODE_KEYS = (
    *("control_listen", "control_socket", "control_token"),
    *("log_stats", "stats_period", "cloudwatch", "otel"),
)

# Its clients have sessions there that another server has not. Another name is another proxy.
FIXED_PROXY_KEYS = ("target_role",)

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
    node = _keep(old.node, new.node, FIXED_NODE_KEYS, ("node",), fixed)
    changed = [*_differences(old.node, node, ("node",))]
    for name in old.proxies:
        if name not in new.proxies:
            text = f"its clients have {node.drain_timeout:g} s to finish their transactions"
            changed.append(f"proxies.{name} is gone: {text}")
    proxies = dict(new.proxies)
    for name, proxy in new.proxies.items():
        if name in old.proxies:
            path = "proxies", name
            proxies[name] = _keep(old.proxies[name], proxy, FIXED_PROXY_KEYS, path, fixed)
    for name, proxy in proxies.items():
        if name in old.proxies:
            changed += _differences(old.proxies[name], proxy, ("proxies", name))
        else:
            changed.append(f"proxies.{name} is new")
    return Changes(msgspec.structs.replace(new, node=node, proxies=proxies), changed, fixed)


def compare_materials(old: Mapping[str, Material], new: Mapping[str, Material]) -> list[str]:
    """What is different in secrets and certificates, in sentences without any secret."""
    changed = changed_users(old, new)
    for name, material in new.items():
        if name not in old:
            continue
        before, where = old[name], f"proxies.{name}"
        if before.access_keys != material.access_keys:
            changed.append(f"{where}: the access keys for IAM tokens are others")
        if before.policies != material.policies:
            changed.append(f"{where}: the policies are others")
        if before.certificates != material.certificates:
            changed.append(f"{where}: the TLS certificate is another")
        if before.client_ca_pem != material.client_ca_pem:
            changed.append(f"{where}: the authorities for client certificates are others")
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
        elif isinstance(after, dict) and (table := struct_in(item.type)) is not None:
            for name in {**before, **after}:  # without a table nothing is set
                one, other = before.get(name, table()), after.get(name, table())
                yield from _differences(one, other, (*here, name))
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
