"""Runs the real program, ``forebay serve``, as its users do."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote, urlencode

from forebay.embedded.certificates import Authority
from forebay.embedded.surroundings import clean_environment, free_port
from tests.harness import descriptors
from tests.harness.clients import Finished, TestDatabase, pgbench, psql
from tests.harness.waiting import eventually

HOST = "127.0.0.1"
NAME = "app"  # of the one proxy in the generated configuration
MAIN = "import sys; from forebay.cli import main; sys.exit(main())"
STOP_TIMEOUT_S = 40.0


def start_command(
    *arguments: str, stderr: int | IO[str] = subprocess.PIPE, **environ: str
) -> subprocess.Popen[str]:
    """Starts ``forebay ARGUMENTS``, with more variables in its environment."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=clean_environment() | environ,
    )


def run_command(*arguments: str, **environ: str) -> Finished:
    """Runs ``forebay ARGUMENTS`` to its end, within STOP_TIMEOUT_S."""
    with start_command(*arguments, **environ) as process:
        try:
            out, err = process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Finished(process.returncode, out, err)


class Forebay:
    """One ``forebay serve`` with one proxy in front of one server.

    target_port: of PostgreSQL or of a FaultProxy, on 127.0.0.1. database: who may log in (more with
    ``users``), and what ``dsn`` names by default. ``proxy``, ``target``, ``pool`` and ``node`` are
    keys of the sections of the configuration file. ``others``: names of more proxies like the
    first, each with the port of its target; ``ports`` has those on which they listen. ``auth``:
    more keys of users' ``[[auth]]`` entries; ``entries``: all entries, instead of those that are
    made of the users. ``environ``: more variables of the program's.
    """

    def __init__(
        self,
        directory: Path,
        target_port: int,
        database: TestDatabase,
        *,
        users: Mapping[str, str] | None = None,
        proxy: Mapping[str, Any] | None = None,
        target: Mapping[str, Any] | None = None,
        pool: Mapping[str, Any] | None = None,
        node: Mapping[str, Any] | None = None,
        others: Mapping[str, int] | None = None,
        auth: Mapping[str, Mapping[str, Any]] | None = None,
        entries: Sequence[Mapping[str, Any]] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.host = HOST
        self.port = free_port()
        self.ports = {NAME: self.port} | {name: free_port() for name in others or ()}
        self.database = database
        self.directory = directory
        self.config = directory / "forebay.toml"
        self.log = directory / "forebay.log"
        self.ca_file = directory / "ca.crt"
        self._users = {database.user: database.password, **(users or {})}
        self._sections: dict[str, dict[str, Any]] = {
            # Without a line in the log that comes when a minute ends.
            "node": {
                "control_listen": f"{HOST}:{free_port()}",
                "log_stats": False,
                **(node or {}),
            },
            "proxy": {
                "listen": f"{HOST}:{self.port}",
                "tls_certificate": "server.crt",
                "tls_private_key": "server.key",
                **(proxy or {}),
            },
            "target": {"hosts": [f"{HOST}:{target_port}"], **(target or {})},
            "pool": dict(pool or {}),
        }
        self._targets = dict(others or {})
        self._auth = dict(auth or {})
        self._entries = entries
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._others: dict[int, int] = {}

    # -- life -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        authority = Authority()
        certificate, key = authority.issue()
        self.ca_file.write_bytes(authority.certificate_pem)
        (self.directory / "server.crt").write_bytes(certificate)
        (self.directory / "server.key").write_bytes(key)
        (self.directory / "server.key").chmod(0o600)
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.stop()

    def start(self) -> Self:
        """Starts the program and waits until it takes connections."""
        self._write()
        before = len(self.text)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", MAIN, "serve", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=clean_environment() | self._environ,
                start_new_session=True,  # apart from pytest: signals and scheduling
            )
        eventually(lambda: self._is_serving(before), "forebay serves", timeout_s=30)
        if descriptors.available():
            self._others = {pid: descriptors.others_count(pid) for pid in self.pids}
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stops it (SIGTERM drains) and waits; its exit code."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end of one that was told to stop (a second signal would hurry it); its exit
        code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"did not stop within {STOP_TIMEOUT_S} s\n{self.text}") from None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def reload(self, **sections: Mapping[str, Any]) -> None:
        """Changes sections (``pool={...}``), reloads with SIGHUP and waits until it says so."""
        self.write(**sections)
        before = len(self.text)
        self.signal(signal.SIGHUP)
        eventually(lambda: re.search("[Rr]eloaded", self.text[before:]), "a word on the reload")

    def command(self, name: str, *options: str) -> Finished:
        """Runs ``forebay NAME`` for this one."""
        return run_command(name, "--config", str(self.config), *options)

    def write(self, **sections: Mapping[str, Any]) -> None:
        """Changes sections (``pool={...}``) of the configuration."""
        for name, values in sections.items():
            self._sections[name] |= values
        self._write()

    @property
    def page(self) -> str:
        """Where its page is, without a slash at the end."""
        return f"http://{self._sections['node']['control_listen']}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The node and its workers."""
        return descriptors.family(self.pid)

    @property
    def worker_pids(self) -> list[int]:
        return [pid for pid in self.pids if pid != self.pid]

    # -- use --------------------------------------------------------------------------------------

    def dsn(
        self,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        through: str = NAME,
        **options: str,
    ) -> str:
        """A URL for libpq to a proxy; ``sslmode=verify-full`` unless told otherwise."""
        user = user or self.database.user
        if password is None:
            password = self._users.get(user, "")
        settings = {"sslmode": "verify-full", "sslrootcert": str(self.ca_file)} | options
        name = quote(database or self.database.name, safe="")
        port = self.ports[through]
        return (
            f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}:{port}"
            f"/{name}?{urlencode(settings, quote_via=quote)}"
        )

    def environment(self) -> dict[str, str]:
        """The environment of an application that finds its database by variables."""
        return clean_environment() | {
            "RDS_PROXY_HOST": self.host,
            "RDS_PROXY_PORT": str(self.port),
            "DATABASE_NAME": self.database.name,
            "DATABASE_USER": self.database.user,
            "DATABASE_PASSWORD": self.database.password,
        }

    def psql(self, *commands: str, script: str | None = None, **options: str) -> Finished:
        """psql through Forebay; ``options`` as for ``dsn``."""
        return psql(self.dsn(**options), *commands, script=script)

    def pgbench(self, *options: str, timeout_s: float = 60.0) -> Finished:
        return pgbench(self.dsn(), *options, timeout_s=timeout_s)

    # -- what it says and holds -------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logged(self, pattern: str) -> list[str]:
        """The lines of the log in which the pattern is found."""
        return [line for line in self.text.splitlines() if re.search(pattern, line)]

    def wait_for_log(self, pattern: str) -> str:
        """The first line with the pattern, as soon as there is one."""
        return eventually(lambda: self.logged(pattern), f"{pattern!r} in the log")[0]

    def check(self) -> None:
        """Fails if the log holds a traceback or a descriptor was not given back."""
        assert "Traceback (most recent call last)" not in self.text, self.text
        if self._process is None or not descriptors.available():
            return
        assert self._process.poll() is None, f"it ended by itself\n{self.text}"
        for pid in self.pids:
            _check_descriptors(pid, self._others.get(pid))

    # -- how --------------------------------------------------------------------------------------

    def _is_serving(self, said_before: int) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"forebay serve ended\n{self.text}"
        return "Serving " in self.text[said_before:]

    def _write(self) -> None:
        secrets: list[dict[str, Any]] = []
        for number, (user, password) in enumerate(self._users.items()):
            path = self.directory / f"user-{number}.json"
            path.write_text(json.dumps({"username": user, "password": password}))
            path.chmod(0o600)
            secrets.append({"secret": f"file:{path}", **self._auth.get(user, {})})
        if self._entries is not None:
            secrets = [dict(entry) for entry in self._entries]
        lines = ["[node]", *_lines(self._sections["node"])]
        lines += _proxy(NAME, self._sections, secrets)
        for name, port in self._targets.items():
            proxy = self._sections["proxy"] | {"listen": f"{HOST}:{self.ports[name]}"}
            target = self._sections["target"] | {"hosts": [f"{HOST}:{port}"]}
            sections = self._sections | {"proxy": proxy, "target": target}
            lines += _proxy(name, sections, secrets)
        self.config.write_text("\n".join(lines) + "\n")


def _proxy(
    name: str, sections: Mapping[str, Mapping[str, Any]], secrets: list[dict[str, Any]]
) -> list[str]:
    """The sections of one proxy."""
    lines = [f"[proxies.{name}]", *_lines(sections["proxy"])]
    for secret in secrets:
        lines += [f"[[proxies.{name}.auth]]", *_lines(secret)]
    for section in ("target", "pool"):
        lines += [f"[proxies.{name}.{section}]", *_lines(sections[section])]
    return lines


def _lines(values: Mapping[str, Any]) -> list[str]:
    """Keys of a TOML section; JSON's forms of scalars and lists are TOML's too."""
    return [f"{name} = {_value(value)}" for name, value in values.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(name)} = {_value(inner)}" for name, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    return json.dumps(value)


def _check_descriptors(pid: int, others_limit: int | None) -> None:
    eventually(lambda: not descriptors.dead_sockets(pid), "dead sockets are closed")
    if others_limit is not None:
        eventually(
            lambda: descriptors.others_count(pid) <= others_limit,
            f"no more than {others_limit} files and pipes: {descriptors.descriptors(pid)}",
        )
