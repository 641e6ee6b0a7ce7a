"""Nonsense for the relay: ``python -m tests.playbooks.fuzz FIRST_SEED COUNT``.

Clients and databases hold plausible conversations that are damaged at random; everybody may vanish
at any time. In a process of its own, so that a crash in compiled code is seen as what it is. One
client, the witness, behaves: its transaction must go on as if nothing happened.
"""

import contextlib
import logging
import sys
from random import Random

from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError, Severity
from tests.playbooks import wording
from tests.playbooks.rig import NotTakenError, Rig

STEPS = 60
CLIENTS = 5
WITNESS_QUERY = wording.encode("Query 'SELECT witness'")
WITNESS_ANSWER = wording.encode("DataRow witness, CommandComplete 'SELECT 1', Ready T")

FRONTEND = """Query 'SELECT 1', Query 'BEGIN', Query 'COMMIT', Query 'LISTEN x',
 Query 'SET a.b = 1', Query 'COPY t FROM STDIN', Query 'DEALLOCATE s1', Query 'DISCARD ALL',
 Query '', Parse '' 'SELECT', Parse s1 'SELECT 1', Parse s2 'SET x = 1', Bind,
 Bind s1, Bind s2, Describe S s1, Describe P,
 Describe S, Execute, Execute, Close S s1, Close P p, Close S, Sync, Sync, Sync, Flush,
 CopyData x 100, CopyData y 70000, CopyDone, CopyFail z, FunctionCall, Terminate"""
BACKEND = """RowDescription, DataRow x, DataRow x 90000, CommandComplete 'SELECT 1',
 CommandComplete 'DISCARD ALL', CommandComplete 'DEALLOCATE ALL', Ready I, Ready I, Ready T,
 Ready E, ParseComplete, BindComplete, CloseComplete, NoData, ParameterDescription, PortalSuspended,
 EmptyQueryResponse, CopyInResponse, CopyOutResponse, CopyBothResponse, CopyData x, CopyDone,
 Error 42601 'syntax error', Error 42703 'column', Fatal 57P01 'terminating', Notice n,
 Notification c, ParameterStatus client_encoding LATIN1, ParameterStatus TimeZone UTC,
 FunctionCallResponse, Row LISTEN '' '', Row '' search_path mine, Row SETTING '' ''"""
# What a database says to each kind of message, if it is in the mood to fit.
FITTING = {
    b"Q": ["Result, Ready I", "Error 42601 'no', Ready I", "CommandComplete BEGIN, Ready T"],
    b"P": ["ParseComplete", "ParseComplete", "Error 42703 'column'"],
    b"B": ["BindComplete", "BindComplete", "Error 26000 'no'"],
    b"D": ["NoData", "RowDescription", "ParameterDescription, NoData"],
    b"E": ["DataRow x, CommandComplete 'SELECT 1'", "CopyInResponse", "Error 22012 'zero'"],
    b"C": ["CloseComplete"],
    b"S": ["Ready I", "Ready I", "Ready T", "Ready E"],
    b"F": ["FunctionCallResponse, Ready I"],
    b"c": ["CommandComplete 'COPY 1', Ready I"],
    b"f": ["Error 57014 'failed'"],
}


class Fuzz:
    """One history of nonsense."""

    def __init__(self, seed: int, vocabulary: tuple[list[bytes], list[bytes]]) -> None:
        self.random = Random(seed)
        self.frontend, self.backend = vocabulary
        tls = self.random.random() < 0.3
        self.rig = Rig(limit=4, queue=4, database_tls=tls, chunker=self._chunk)
        self.rig.timeouts.idle_client_timeout_s = 86400.0  # not what this is about

    def _chunk(self, data: bytes) -> list[bytes]:
        found, at = [], 0
        while at < len(data):
            size = self.random.choice((3, 7, 50, 5000, len(data), len(data)))
            found.append(data[at : at + size])
            at += size
        return found

    def run(self) -> None:
        with self.rig as rig:
            rig.client("witness", database="other")
            rig.send("witness", wording.encode("Query 'BEGIN'"))
            self.witness_server = next(iter(rig.servers))
            self._expect(self.witness_server, wording.encode("Query 'BEGIN'"))
            rig.send(self.witness_server, wording.encode("CommandComplete BEGIN, Ready T"))
            self._expect("witness", wording.encode("CommandComplete BEGIN, Ready T"))
            for number in range(STEPS):
                self._step(number)
                rig.check()
                if number % 20 == 19:
                    self._witness()
            self._witness()

    def _expect(self, name: str, data: bytes) -> None:
        received = self.rig.received(name)
        self.rig.actors[name].inbox = b""
        assert received == data, f"{name}: {received[:100]!r}, not {data[:100]!r}"

    def _witness(self) -> None:
        self.rig.send("witness", WITNESS_QUERY)
        self._expect(self.witness_server, WITNESS_QUERY)
        self.rig.send(self.witness_server, WITNESS_ANSWER)
        self._expect("witness", WITNESS_ANSWER)

    def _step(self, number: int) -> None:
        rig, random = self.rig, self.random
        clients = [n for n in rig.clients if n != "witness" and not rig.actors[n].closed]
        servers = [n for n in rig.servers if n != self.witness_server and not rig.actors[n].closed]
        chance = random.random()
        if len(clients) < CLIENTS and chance < 0.2:
            self._come(f"c{number}")
        elif clients and chance < 0.5:
            self._say(random.choice(clients), self.frontend)
        elif servers and chance < 0.8:
            self._answer(random.choice(servers))
        elif servers and chance < 0.9:
            self._say(random.choice(servers), self.backend)
        elif clients and chance < 0.93:
            rig.leave(random.choice(clients))
        elif servers and chance < 0.95:
            rig.leave(random.choice(servers))
        elif clients and chance < 0.97:
            rig.cancel(random.choice(clients))
        elif chance < 0.98:
            rig.pass_time(random.choice((0.2, 6, 121)))
        else:
            self._deliver()
        for name in [*clients, *servers]:
            if name not in rig.servers or random.random() < 0.5:
                rig.received(name)
            if name in rig.clients:
                rig.actors[name].inbox = b""

    def _come(self, name: str) -> None:
        random = self.random
        choices = [(), (("application_name", name),), (("search_path", "x"),), (("role", "r"),)]
        if random.random() < 0.1:
            errors = [
                ConnectError("no", transient=True),
                PgError(Severity.FATAL, "3D000", "no such database"),
            ]
            self.rig.opening_errors.append(random.choice(errors))
        self.rig.client(
            name,
            random.choice(choices),
            known=random.random() < 0.7,
            tls=random.random() < 0.2,
            early=self._damaged(self.frontend) if random.random() < 0.1 else b"",
            user=random.choice(("app", "alice")),
        )

    def _say(self, name: str, words: list[bytes]) -> None:
        data = self._damaged(words)
        with contextlib.suppress(NotTakenError):  # its other side does not read: fine
            self._send(name, data)

    def _send(self, name: str, data: bytes) -> None:
        if self.rig.actors[name].tls is not None and self.random.random() < 0.02:
            self.rig.transmit(name, data)
        else:
            self.rig.send(name, data)

    def _damaged(self, words: list[bytes]) -> bytes:
        random = self.random
        data = bytearray(b"".join(random.choices(words, k=random.choice((1, 1, 2, 5, 20)))))
        if random.random() < 0.15:
            at = random.randrange(len(data))
            match random.randrange(5):
                case 0:
                    data[at] = random.randrange(256)
                case 1:
                    del data[at:]
                case 2:
                    data[at:at] = random.randbytes(random.randrange(1, 20))
                case 3:
                    data = bytearray(random.randbytes(random.randrange(1, 300)))
                case _:
                    data[at : at + 4] = random.choice((0, 3, 5, 0xFFFF, 1 << 30, 1 << 31)).to_bytes(
                        4, "big"
                    )
        return bytes(data)

    def _answer(self, name: str) -> None:
        """What fits to all that the database has been asked."""
        rig, random = self.rig, self.random
        asked, rest = wording.frames(rig.received(name))
        rig.actors[name].inbox = rest
        answers = [random.choice(FITTING[each[:1]]) for each in asked if each[:1] in FITTING]
        if answers:
            with contextlib.suppress(NotTakenError):
                rig.send(name, wording.encode(", ".join(answers)))

    def _deliver(self) -> None:
        for server, gates in self.rig.cancels.items():
            if gates:
                name = next(n for n, each in self.rig.servers.items() if each is server)
                self.rig.deliver_cancel(name)
                return


def vocabulary() -> tuple[list[bytes], list[bytes]]:
    frontend = [each.data for each in wording.messages(FRONTEND) if each.data]
    backend = [each.data for each in wording.messages(BACKEND) if each.data]
    return frontend, backend


def main(first: int, count: int) -> None:
    logging.disable(logging.WARNING)
    words = vocabulary()
    for seed in range(first, first + count):
        print(seed, flush=True)  # the last one is to blame
        Fuzz(seed, words).run()
    print("done")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
