"""Clients as libpq has them: several hosts, and whichever of them takes writes."""

import asyncio
from dataclasses import dataclass

import psycopg
from psycopg.pq import TransactionStatus

from tests.nemesis.pair import LOGIN, Pair
from tests.nemesis.rig import Front
from tests.nemesis.session import LOST_WITHOUT_A_WORD, Answer, LostError, Session

CONNECT_TIMEOUT_S = 2
STATUS = {TransactionStatus.IDLE: "I", TransactionStatus.INTRANS: "T"}


@dataclass(slots=True)
class LibpqSession:
    """One psycopg connection in autocommit mode."""

    connection: psycopg.AsyncConnection[tuple[object, ...]]

    async def ask(self, sql: str) -> Answer:
        """Run one statement. Raises LostError."""
        answer = Answer()
        try:
            cursor = await self.connection.execute(sql)
            if cursor.description is not None:
                rows = await cursor.fetchall()
                answer.rows = [[None if v is None else str(v) for v in row] for row in rows]
            answer.tags = [cursor.statusmessage or ""]
        except psycopg.Error as error:
            answer.sqlstate = error.sqlstate or LOST_WITHOUT_A_WORD
            answer.text = str(error).strip()
            if self.connection.closed:
                raise LostError(answer.sqlstate, answer.text) from None
        answer.status = STATUS.get(self.connection.info.transaction_status, "E")
        return answer

    async def wait_for_end(self) -> str:
        """Return when the other side has ended the connection, which was idle."""
        pgconn = self.connection.pgconn
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(pgconn.socket, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    pgconn.consume_input()
                except psycopg.Error:
                    return LOST_WITHOUT_A_WORD
                if pgconn.status != psycopg.pq.ConnStatus.OK:
                    return LOST_WITHOUT_A_WORD
        finally:
            if pgconn.status == psycopg.pq.ConnStatus.OK:
                loop.remove_reader(pgconn.socket)

    def close(self) -> None:
        """Close without waiting."""
        self.connection.pgconn.finish()


def libpq(pair: Pair) -> Front:
    """Give a connection string that names both servers, and asks for the one that writes."""
    parts = {
        "host": ",".join(server.host for server in pair.servers),
        "port": ",".join(str(server.port) for server in pair.servers),
        "user": LOGIN.user,
        "password": LOGIN.password,
        "dbname": LOGIN.name,
        "target_session_attrs": "read-write",
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        "sslmode": "disable",
        "gssencmode": "disable",
    }
    conninfo = psycopg.conninfo.make_conninfo(**parts)

    async def connect(extended: bool) -> Session:
        try:
            connection = await psycopg.AsyncConnection.connect(
                conninfo, autocommit=True, prepare_threshold=None if extended else 5
            )
        except psycopg.Error as error:
            raise LostError(error.sqlstate or "refused", str(error)) from None
        return LibpqSession(connection)

    return Front("libpq, both hosts", connect)
