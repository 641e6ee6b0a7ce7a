"""One configuration from a file, a URL or the environment; all that is wrong is told at once.

``load`` reads a TOML file and lays ``FOREBAY_…`` variables over it; ``from_url`` makes a
configuration of one proxy from ``postgresql://…``; ``from_environment`` needs no file at all.
Relative paths are relative to the directory of the file (without one: the current directory).
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from forebay.config.checks import CHECKS, check_name, check_together
from forebay.config.environment import overlay
from forebay.config.errors import ConfigError, Problem, nearest
from forebay.config.reading import Reading, read_struct
from forebay.config.settings import (
    DEFAULT_PROXY,
    AuthSettings,
    Config,
    Hidden,
    NodeSettings,
    ProxySettings,
)
from forebay.config.url import SCHEMES, DatabaseUrl, is_url, parse_url

MAX_FILE_BYTES = 4 * 1024 * 1024
_GIVEN = "url"


def load(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Config:
    """Read a TOML file. Raises ConfigError with every problem found."""
    path = Path(path)
    reading = Reading(str(path), CHECKS)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError([Problem(str(path), "", f"is over {MAX_FILE_BYTES} bytes")])
        raw = tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigError([Problem(str(path), "", _os_reason(error))]) from None
    except UnicodeDecodeError as error:
        text = f"is not UTF-8 text (byte {error.start})"
        raise ConfigError([Problem(str(path), "", text)]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(path), "", f"is not TOML: {error}")]) from None
    except RecursionError:
        raise ConfigError([Problem(str(path), "", "is nested too deeply")]) from None
    return _read(raw, environ, reading, path.parent)


def from_environment(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings from ``FOREBAY_…`` variables only; a FOREBAY_DATABASE_URL goes first.

    Raises ConfigError with every problem found."""
    environ = os.environ if environ is None else environ
    if url := environ.get("FOREBAY_DATABASE_URL"):
        return from_url(url, environ, where="environment: FOREBAY_DATABASE_URL")
    return _read({}, environ, Reading("environment", CHECKS), Path())


def from_url(text: str, environ: Mapping[str, str] | None = None, *, where: str = "URL") -> Config:
    """One proxy, named "default", whose only user is the URL's.

    The password may come from PGPASSWORD instead, which keeps it out of the list of processes. With
    ``auth_scheme=IAM_AUTH`` and no password at all it is a sidecar: Forebay logs in to the database
    with tokens of its own, and whoever reaches its loopback address needs no proof and no TLS.
    Raises ConfigError with every problem found; no error holds the password.
    """
    environ = os.environ if environ is None else environ
    try:
        url = parse_url(text)
    except ValueError as error:
        raise ConfigError([Problem(where, "", f"the URL {error}")]) from None
    password = url.password or environ.get("PGPASSWORD", "")
    by_iam = url.parameters.get("auth_scheme") == "IAM_AUTH"
    needed = {"user": url.user}
    if not by_iam:
        needed["password (PGPASSWORD is read too; auth_scheme=IAM_AUTH needs none)"] = password
    if absent := [what for what, value in needed.items() if not value]:
        raise ConfigError([Problem(where, "", f"the URL has no {what}") for what in absent])
    proxy: dict[str, Any] = {"target": _target(url, where)}
    user: dict[str, Any] = {"secret": f"given:{_GIVEN}"}
    given = {}
    if password:
        given[_GIVEN] = _secret(url.user, password, where)
    else:
        user = {"username": url.user, "client_auth": "trust"}
        proxy["require_tls"] = False
    if "auth_scheme" in url.parameters:
        user["auth_scheme"] = url.parameters["auth_scheme"]
    raw = {"proxies": {DEFAULT_PROXY: {**proxy, "auth": [user]}}}
    return _read(raw, environ, Reading(where, CHECKS), Path(), given)


def _secret(user: str, password: str, where: str) -> Hidden:
    try:
        return Hidden(msgspec.json.encode({"username": user, "password": password}).decode())
    except UnicodeEncodeError:
        raise ConfigError([Problem(where, "", "PGPASSWORD is not UTF-8 text")]) from None


def _target(url: DatabaseUrl, where: str) -> dict[str, Any]:
    parameters: dict[str, Any] = dict(url.parameters)
    if parameters.pop("auth_scheme", None) == "IAM_AUTH":
        parameters.setdefault("sslmode", "require")  # tokens are not sent in clear
    if (timeout := parameters.pop("connect_timeout", None)) is not None:
        try:
            seconds = int(timeout)
        except ValueError:
            problem = Problem(where, "connect_timeout", "must be a whole number of seconds")
            raise ConfigError([problem]) from None
        if seconds > 0:  # libpq: zero or negative means "wait for ever"; here the default holds
            parameters["connect_timeout"] = seconds
    return {
        "hosts": [str(address) for address in url.addresses],
        "database": url.database,
        **parameters,
    }


def _read(
    raw: dict[str, Any],
    environ: Mapping[str, str] | None,
    reading: Reading,
    base: Path,
    given: dict[str, Hidden] | None = None,
) -> Config:
    overlay(raw, os.environ if environ is None else environ, reading)
    for key in raw:
        if key not in ("node", "proxies"):
            reading.report((key,), f"is not a known key{nearest(key, ('node', 'proxies'))}")
    node = read_struct(NodeSettings, raw.get("node", {}), ("node",), reading)
    tables = raw.get("proxies", {})
    proxies: dict[str, ProxySettings] = {}
    if not isinstance(tables, dict):
        reading.report(("proxies",), "must be a table: [proxies.NAME]")
    elif not tables:
        reading.report(
            ("proxies",),
            "is missing: a [proxies.NAME] table with its target and auth, or a database URL (as the"
            " argument of serve, or in FOREBAY_DATABASE_URL)",
        )
    else:
        for name, table in tables.items():
            check_name(name, reading)
            proxy = read_struct(ProxySettings, table, ("proxies", name), reading)
            if proxy is not None:
                proxies[name] = _absolute(proxy, base)
        check_together(proxies, reading)
    if reading.problems or node is None:
        raise ConfigError(reading.problems)
    if node.control_socket:
        path = str((base / node.control_socket).absolute())
        node = msgspec.structs.replace(node, control_socket=path)
    if node.cloudwatch is not None and node.cloudwatch.emf.startswith("file:"):
        path = str((base / node.cloudwatch.emf.removeprefix("file:")).absolute())
        cloudwatch = msgspec.structs.replace(node.cloudwatch, emf=f"file:{path}")
        node = msgspec.structs.replace(node, cloudwatch=cloudwatch)
    if node.control_token.startswith("file:"):
        path = str((base / node.control_token.removeprefix("file:")).absolute())
        node = msgspec.structs.replace(node, control_token=f"file:{path}")
    return Config(node=node, proxies=proxies, given_secrets=given or {}, source=reading.source)


def _absolute(proxy: ProxySettings, base: Path) -> ProxySettings:
    """The same settings with every relative path made absolute."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str((base / path).absolute())

    def each_absolute(paths: str | list[str] | None) -> str | list[str] | None:
        return (
            [str((base / each).absolute()) for each in paths]
            if isinstance(paths, list)
            else absolute(paths)
        )

    def source(text: str) -> str:
        kind, colon, path = text.partition(":")
        return f"{kind}:{absolute(path)}" if colon and kind in ("file", "userlist") else text

    def with_path(auth: AuthSettings) -> AuthSettings:
        return msgspec.structs.replace(auth, secret=source(auth.secret))

    target = proxy.target
    if target.sslrootcert != "system":
        target = msgspec.structs.replace(target, sslrootcert=absolute(target.sslrootcert))
    target = msgspec.structs.replace(
        target, sslcert=absolute(target.sslcert), sslkey=absolute(target.sslkey)
    )
    iam = proxy.iam
    if iam is not None:
        iam = msgspec.structs.replace(
            iam,
            access_keys=list(map(source, iam.access_keys)),
            policies=list(map(source, iam.policies)),
        )
    return msgspec.structs.replace(
        proxy,
        tls_certificate=each_absolute(proxy.tls_certificate),
        tls_private_key=each_absolute(proxy.tls_private_key),
        tls_client_ca=absolute(proxy.tls_client_ca),
        iam=iam,
        target=target,
        auth=[with_path(auth) for auth in proxy.auth],
    )


def _os_reason(error: OSError) -> str:
    return f"can't be read: {error.strerror or type(error).__name__}"


def load_any(argument: str | None, environ: Mapping[str, str] | None = None) -> Config:
    """What ``forebay serve`` and ``forebay check`` take: a file's name, a URL, or nothing.

    Nothing means FOREBAY_CONFIG (a file's name), else the environment alone.
    Raises ConfigError with every problem found."""
    environ = os.environ if environ is None else environ
    argument = argument or environ.get("FOREBAY_CONFIG") or None
    if argument is None:
        return from_environment(environ)
    if not means_url(argument):
        return load(argument, environ)
    if not argument.startswith(SCHEMES):
        text = f"the URL must start with {SCHEMES[0]} (and no file has such a name)"
        raise ConfigError([Problem("URL", "", text)])
    return from_url(argument, environ)


def means_url(argument: str) -> bool:
    """Whether ``load_any`` takes this for a URL: it looks like one, and is no file's name."""
    if not is_url(argument):
        return False
    try:
        return not Path(argument).exists()
    except (OSError, ValueError):  # too long a name, say
        return True
