"""What traffic sees of the database servers, told to the node, which asks them then.

A server that dies takes hundreds of connections with it at once: of each kind of news one is told
in a while.
"""

from collections.abc import Callable

from forebay.channel import Hint
from forebay.topology.reports import HintKind

# The node asks all servers every 100 ms while something is wrong.
AGAIN_S = 0.05


class Hints:
    """Of one proxy. ``tell`` sends to the node, and returns whether that was possible."""

    def __init__(self, proxy: str, now: Callable[[], float], tell: Callable[[Hint], bool]) -> None:
        self._proxy = proxy
        self._now = now
        self._tell = tell
        self._told: dict[tuple[str, HintKind], float] = {}

    def note(self, address: str, kind: HintKind) -> None:
        """Traffic saw this of the server at ``address`` (host:port)."""
        now = self._now()
        key = address, kind
        if now - self._told.get(key, -AGAIN_S) < AGAIN_S:
            return
        self._told = {each: at for each, at in self._told.items() if now - at < AGAIN_S}
        self._told[key] = now
        self._tell(Hint(proxy=self._proxy, address=address, kind=kind))
