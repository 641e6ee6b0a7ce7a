"""Two servers that a real Patroni looks after, with a real etcd to agree in.

All of it runs as whoever may run a PostgreSQL here (``nobody``, if we are root), in a temporary
directory. FOREBAY_TEST_PATRONI names another ``patroni`` than the one on PATH and PyPI's.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from forebay.embedded import unprivileged
from forebay.embedded.binaries import find_binaries
from forebay.embedded.surroundings import HOST, clean_environment, free_port
from tests.drivers.foreign.toolchains import BUILD, fetch, need, one_at_a_time
from tests.harness import TestDatabase, descriptors
from tests.harness.raw import RawClient
from tests.harness.waiting import eventually
from tests.nemesis.pair import LOGIN, send

VARIABLE = "FOREBAY_TEST_PATRONI"
FROM_PYPI = "4.1.5"
PYTHON = "/usr/bin/python3"  # that anybody may run
# The least that Patroni takes, so that a failover is as quick as it can be.
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 1, 3
START_TIMEOUT_S = 90.0
FAILOVER_TIMEOUT_S = 90.0
ROLE = f"CREATE ROLE {LOGIN.user} LOGIN PASSWORD '{LOGIN.password}'"
DATABASE = f"CREATE DATABASE {LOGIN.name} OWNER {LOGIN.user}"
TABLE = (
    "CREATE TABLE writes (client int NOT NULL, seq int NOT NULL, part int NOT NULL DEFAULT 0,"
    " port int DEFAULT inet_server_port())"
)


def programs() -> dict[str, Path]:
    """The Patronis there are, by their version."""
    found: dict[str, Path] = {}
    for name in (shutil.which("patroni"), os.environ.get(VARIABLE)):
        if name:
            answer = subprocess.run([name, "--version"], capture_output=True, text=True)
            if answer.returncode == 0:
                found[answer.stdout.split()[-1]] = Path(name)
    return found


def from_pypi() -> Path:
    """PyPI's Patroni, in an environment of its own that is made once; skips if it cannot be had."""
    need(PYTHON)
    place = BUILD.parent / f"patroni-{FROM_PYPI}"
    done = place / "done"
    with one_at_a_time("patroni"):
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            fetch([PYTHON, "-m", "venv", "."], place)
            wanted = [f"patroni[etcd3]=={FROM_PYPI}", "psycopg[binary]>=3.2"]
            fetch(["bin/python", "-m", "pip", "install", "-q", *wanted], place)
            done.touch()
    return place / "bin" / "patroni"


def why_not() -> str:
    """Why none can be tried here; empty: one can."""
    missing = [] if shutil.which("etcd") else ["etcd"]
    missing += [] if programs() else ["patroni"]
    if not missing:
        return ""
    return f"no {' and no '.join(missing)} on PATH: apt-get install patroni etcd-server"


class Member:
    """One server, and the Patroni that looks after it."""

    def __init__(self, cluster: "PatroniCluster", name: str) -> None:
        self.name = name
        self.port = free_port()
        self.rest_port = free_port()
        self.directory = cluster.directory / name
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """Of its REST API."""
        return f"http://{HOST}:{self.rest_port}"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def start(self) -> None:
        """Starts its Patroni, which starts the server."""
        self._cluster.make(self.directory)
        settings = self.directory / "patroni.json"  # JSON is YAML
        settings.write_text(json.dumps(self._settings()))
        settings.chmod(0o644)
        self._process = self._cluster.run(self.name, str(self._cluster.program), str(settings))

    def kill(self) -> None:
        """All of it dies at once: Patroni, the postmaster and its sessions."""
        if self._process is None:
            return
        pids = [self._process.pid, *self._postgres_pids()]
        send(signal.SIGKILL, pids)
        self._process.wait()
        self._process = None
        eventually(lambda: not any(map(descriptors.is_running, pids)), f"{self.name} is dead")

    def session(self, database: str = LOGIN.name) -> RawClient:
        """One of the superuser's."""
        return RawClient(self.port, TestDatabase(database, "postgres", self._cluster.password))

    def rows(self) -> dict[tuple[int, int, int], int]:
        """How often each row of ``writes`` is there."""
        text = "SELECT client, seq, part, count(*) FROM writes GROUP BY 1, 2, 3"
        with self.session() as session:
            found = session.query(text)
        return {(int(c), int(s), int(p)): int(n) for c, s, p, n in found}  # type: ignore[arg-type]

    def _postgres_pids(self) -> list[int]:
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return []
        return descriptors.family(pid) if descriptors.is_running(pid) else []

    def _settings(self) -> dict[str, Any]:
        cluster = self._cluster
        login = {"username": "postgres", "password": cluster.password}
        return {
            "scope": "rig",
            "name": self.name,
            "restapi": {
                "listen": f"{HOST}:{self.rest_port}",
                "connect_address": f"{HOST}:{self.rest_port}",
            },
            "etcd3": {"host": f"{HOST}:{cluster.etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_S,
                    "loop_wait": LOOP_WAIT_S,
                    "retry_timeout": RETRY_TIMEOUT_S,
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 60}},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "no-sync", "data-checksums"],
            },
            "postgresql": {
                "listen": self.address,
                "connect_address": self.address,
                "data_dir": str(self.data),
                "bin_dir": str(cluster.bin_dir),
                "pgpass": str(self.directory / "pgpass"),
                "basebackup": {"checkpoint": "fast"},
                "authentication": {"superuser": login, "replication": login, "rewind": login},
                "parameters": {
                    "unix_socket_directories": str(self.directory),
                    "password_encryption": "scram-sha-256",
                    "fsync": "off",
                },
                "pg_hba": [
                    f"host all all {HOST}/32 scram-sha-256",
                    f"host replication all {HOST}/32 scram-sha-256",
                    "local all all scram-sha-256",
                ],
            },
        }


class PatroniCluster:
    """``with PatroniCluster(program) as cluster:`` a leader, and a standby that is synchronous."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.password = secrets.token_hex(8)
        self.etcd_port = free_port()
        self.bin_dir = find_binaries(prefer_tls=True).bin_dir
        self._account = unprivileged.account()
        parent = unprivileged.temporary_parent(self._account)
        self.directory = Path(tempfile.mkdtemp(prefix="forebay-patroni-", dir=parent))
        self._etcd: subprocess.Popen[bytes] | None = None
        self.members = {name: Member(self, name) for name in ("a", "b")}

    def __enter__(self) -> Self:
        try:
            self._account.own(self.directory)
            self._start_etcd()
            a, b = self.members.values()
            a.start()
            eventually(lambda: self.leader is a, "a leads", START_TIMEOUT_S)
            with a.session("postgres") as session:
                for text in (ROLE, DATABASE):
                    session.query(text)
            with RawClient(a.port, LOGIN) as session:
                session.query(TABLE)
            b.start()
            self.wait_for_sync()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for member in self.members.values():
            member.kill()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()
        shutil.rmtree(self.directory)

    # -- asking and telling it ---------------------------------------------------------------------

    @property
    def servers(self) -> list[Member]:
        return list(self.members.values())

    def roles(self) -> dict[str, str]:
        """Each member's role as Patroni tells it, if it runs."""
        for member in self.members.values():
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(f"{member.url}/cluster", timeout=5) as answer:
                    found = json.load(answer)
                return {
                    each["name"]: each["role"]
                    for each in found["members"]
                    if each["state"] in ("running", "streaming")
                }
        return {}

    @property
    def leader(self) -> Member | None:
        """Whom Patroni calls so."""
        named = [name for name, role in self.roles().items() if role in ("leader", "master")]
        return self.members[named[0]] if named else None

    @property
    def replica(self) -> Member:
        """The other one."""
        leader = self.leader
        assert leader is not None
        return next(member for member in self.members.values() if member is not leader)

    def wait_for_sync(self) -> None:
        eventually(
            lambda: sorted(self.roles().values()) == ["leader", "sync_standby"],
            "a leader and a synchronous standby",
            START_TIMEOUT_S,
        )

    def switch_over(self) -> Member:
        """Asks for a planned switchover; the new leader, as soon as it is one."""
        leader, replica = self.leader, self.replica
        assert leader is not None
        body = json.dumps({"leader": leader.name, "candidate": replica.name}).encode()
        request = urllib.request.Request(f"{leader.url}/switchover", body, method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=FAILOVER_TIMEOUT_S) as answer:
            assert answer.status == 200
        return self.wait_for_leader(replica)

    def wait_for_leader(self, member: Member) -> Member:
        eventually(lambda: self.leader is member, f"{member.name} leads", FAILOVER_TIMEOUT_S)
        return member

    # -- how ---------------------------------------------------------------------------------------

    def make(self, directory: Path) -> None:
        """A directory of whoever runs the servers."""
        directory.mkdir(mode=0o700, exist_ok=True)
        self._account.own(directory)

    def run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Starts a program as that account."""
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment(),
                start_new_session=True,
                **self._account.popen_arguments(),
            )

    def _start_etcd(self) -> None:
        data = self.directory / "etcd"
        self.make(data)
        client, peer = f"http://{HOST}:{self.etcd_port}", f"http://{HOST}:{free_port()}"
        program = shutil.which("etcd")
        assert program is not None
        self._etcd = self.run(
            "etcd",
            *(program, "--data-dir", str(data), "--unsafe-no-fsync"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        )
        eventually(lambda: _is_healthy(client), "etcd answers", START_TIMEOUT_S)


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(json.load(answer)["health"] == "true")
    except (OSError, ValueError):
        return False
