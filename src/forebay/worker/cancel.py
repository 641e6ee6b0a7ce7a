"""Cancel requests: to the connection that serves a client now, or out of the queue, or nowhere."""

import asyncio
import logging
from collections.abc import Callable

from forebay.net import connector
from forebay.net.connector import ConnectError, Target
from forebay.net.tls import ClientContexts
from forebay.protocol import errors
from forebay.relay import Client, Server

logger = logging.getLogger("forebay.cancel")

DELIVERY_TIMEOUT_S = 5.0

# How often, and at most how many times, it is looked whether Forebay's own messages are answered.
OWN_STEP_S = 0.002
OWN_STEPS = 5000


async def pause() -> None:
    """Let some time pass."""
    await asyncio.sleep(OWN_STEP_S)


class Canceller:
    """Delivers cancel requests to one database server."""

    def __init__(self, target: Callable[[], Target], tls_contexts: ClientContexts) -> None:
        self._target = target
        self._tls_contexts = tls_contexts

    async def cancel_client(self, client: Client) -> None:
        """Do what PostgreSQL does for a cancel request that names this client.

        Waiting for a connection: it is answered at once. Without a statement under way: nothing.
        """
        server = client.server
        if client.is_waiting:
            client.refuse(errors.query_canceled().encode())
        elif server is not None:
            await self.cancel_server(server, lambda: server.client is client)

    async def cancel_server(self, server: Server, is_meant: Callable[[], bool]) -> None:
        """Cancel what runs on `server`, if that `is_meant` by then: while the connection answers
        what Forebay itself has asked the request waits, for it is not for that.

        The connection serves nobody else until the request has been delivered, or a late one would
        hit somebody else's statement.
        """
        for _ in range(OWN_STEPS):
            if not is_meant() or not server.ledger.count:
                return
            if not server.ledger.action() or not server.ledger.is_own_turn():
                break
            await pause()
        else:
            return  # what does not answer is not the client's
        server.cancels_in_flight += 1
        try:
            await connector.send_cancel(
                self._target(),
                server.pid,
                server.cancel_key,
                timeout_s=DELIVERY_TIMEOUT_S,
                tls_contexts=self._tls_contexts,
                place=server.place,
            )
        except ConnectError as error:
            logger.warning("A cancel request could not be delivered: %s", error)
            server.retired = True  # it may have been sent, and arrive at any time
        finally:
            server.cancel_finished()
