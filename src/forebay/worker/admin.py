"""The admin database of one proxy, as PgBouncer has one: who may use it, and who does."""

import hmac
import logging
from collections.abc import Callable, Container
from typing import Final

from forebay.config.settings import ProxySettings
from forebay.net.login import LoggedIn
from forebay.net.tasks import spawn
from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.worker.asking import AskNode
from forebay.worker.console import Console
from forebay.worker.sessions.cancel_keys import CancelKeys

logger = logging.getLogger("forebay.login")

ADMIN_DATABASE: Final = "forebay"
DATABASES: Final = frozenset({ADMIN_DATABASE, "pgbouncer"})
MAX_CONSOLES: Final = 50


class Admin:
    """The clients of one proxy's admin database. ``settings`` gives the proxy's of the moment."""

    def __init__(
        self,
        proxy: str,
        ask: AskNode,
        keys: CancelKeys,
        settings: Callable[[], ProxySettings],
    ) -> None:
        self._proxy = proxy
        self._ask = ask
        self._keys = keys
        self._settings = settings
        self.consoles: dict[int, Console] = {}

    def is_meant(self, database: str) -> bool:
        """Whether a client that logs in to a database of this name wants the console. Where nobody
        may use it, these are databases as others."""
        return database in DATABASES and bool(users_of(self._settings()))

    def obstacle(self, login: LoggedIn) -> PgError | None:
        """Why a client is not let in, or None."""
        if login.user not in users_of(self._settings()):
            return errors.not_allowed(login.database)
        if len(self.consoles) >= MAX_CONSOLES:
            return errors.too_many_consoles(MAX_CONSOLES)
        return None

    def admit(self, login: LoggedIn, taken: Container[int]) -> None:
        """Serve a client from now on. `taken`: process ids that others have."""
        number = self._keys.new_process_id(taken)
        while number in self.consoles:
            number = self._keys.new_process_id(taken)
        console = Console(
            login,
            self._proxy,
            self._ask,
            idle_timeout_s=self._settings().idle_client_timeout,
        )
        self.consoles[number] = console
        console.key = self._keys.key(number, login.protocol_minor)
        logger.info("A client uses the admin database", extra={"fields": {"user": login.user}})
        spawn(self._serve(number, console), "console")

    async def _serve(self, number: int, console: Console) -> None:
        try:
            await console.run(number)
        finally:
            del self.consoles[number]

    def cancel(self, number: int, key: bytes) -> None:
        """A cancel request, which ends a PAUSE that has not come about; nothing else takes long."""
        console = self.consoles.get(number)
        if console is not None and hmac.compare_digest(console.key, key):
            console.cancel()

    def part(self, is_allowed: Callable[[str], bool]) -> None:
        """End those whose user may not use it any more."""
        users = users_of(self._settings())
        for console in list(self.consoles.values()):
            if console.user not in users or not is_allowed(console.user):
                console.end(errors.not_allowed(ADMIN_DATABASE))

    def close(self) -> None:
        """End all, as Forebay does or this proxy."""
        for console in list(self.consoles.values()):
            console.end(errors.admin_shutdown())


def users_of(settings: ProxySettings) -> frozenset[str]:
    """Those that may use the admin database."""
    return frozenset((*settings.admin_users, *settings.stats_users))
