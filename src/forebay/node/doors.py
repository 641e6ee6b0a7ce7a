"""Which sockets a node listens on, for which proxy, while proxies come, change and go.

What is to be listened on is opened before anything else changes, and what is not needed any more
is closed when everything has: a change that is refused on the way leaves all as it was.
"""

from collections.abc import Mapping, Sequence
from itertools import count

from forebay.config.addresses import Address
from forebay.node.listeners import Listener, open_listeners

Key = tuple[Address, str, int]
"""An address; of one whose port is any that is free, the proxy's name and which of its it is."""

Opened = dict[str, list[Listener]]
"""The listeners of each proxy, in the order of its configuration."""


class Doors:
    """All listening sockets of a node."""

    def __init__(self) -> None:
        self._open: dict[Key, Listener] = {}
        self._numbers = count(1)
        self.by_proxy: Opened = {}

    def open(self, wanted: Mapping[str, Sequence[Address]]) -> Opened:
        """Listen on what is not listened on yet, too; what was open already is used again, by
        another proxy perhaps. Raises ListenError, and then has opened nothing.

        To be followed by `settle` with what it returned, or with `by_proxy` to undo it.
        """
        opened: Opened = {}
        before = set(self._open)
        try:
            for name, addresses in wanted.items():
                keys = [_key(address, name, index) for index, address in enumerate(addresses)]
                opened[name] = [self._open.get(key) or self._listen(key) for key in keys]
        except BaseException:
            for key in self._open.keys() - before:
                self._open.pop(key).close()
            raise
        return opened

    def _listen(self, key: Key) -> Listener:
        (listener,) = open_listeners([key[0]])
        listener.numbers = [next(self._numbers) for _ in listener.sockets]
        self._open[key] = listener
        return listener

    def settle(self, opened: Opened) -> None:
        """These are the listeners from now on; all others are closed."""
        self.by_proxy = opened
        kept = {id(listener) for own in opened.values() for listener in own}
        for key, listener in list(self._open.items()):
            if id(listener) not in kept:
                del self._open[key]
                listener.close()

    def descriptors(self, numbers: Sequence[int]) -> list[int]:
        """The descriptors of these sockets."""
        by_number = {
            number: sock.fileno()
            for listener in self._open.values()
            for number, sock in zip(listener.numbers, listener.sockets, strict=True)
        }
        return [by_number[number] for number in numbers]

    def close(self) -> None:
        """Listen on nothing any more. `by_proxy` still says what it was."""
        for listener in self._open.values():
            listener.close()
        self._open.clear()


def _key(address: Address, name: str, index: int) -> Key:
    return (address, "", 0) if address.port or address.is_unix else (address, name, index)
