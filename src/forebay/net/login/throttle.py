"""How wrong passwords are slowed down."""

from collections import OrderedDict

from forebay.identity.secrets import MAX_USERNAME_LENGTH


class Throttle:
    """Slows down the answers to wrong passwords, per user and address, and counts them.

    The delay doubles with every wrong password, up to `max_delay_s`, and is forgotten after a right
    one or after `forget_s` without a wrong one. Right passwords are never slowed: while a password
    is rotated, clients that know the new one share an address with clients that do not.
    Time is an argument, in seconds of a monotonic clock. The table is bounded: beyond
    `max_entries`, the entry that has been left alone longest goes.
    """

    def __init__(
        self,
        first_delay_s: float = 0.1,
        max_delay_s: float = 5.0,
        forget_s: float = 300.0,
        max_entries: int = 10_000,
    ) -> None:
        self.wrong_passwords = 0
        self._first_delay_s = first_delay_s
        self._max_delay_s = max_delay_s
        self._forget_s = forget_s
        self._max_entries = max_entries
        self._table: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def failed(self, user: str, address: str, now_s: float) -> float:
        """Notes a wrong password; returns how long its answer has to wait, in seconds."""
        self.wrong_passwords += 1
        key = _key(user, address)
        count, last_s = self._table.pop(key, (0, now_s))
        if now_s - last_s > self._forget_s:
            count = 0
        self._table[key] = count + 1, now_s
        if len(self._table) > self._max_entries:
            self._table.popitem(last=False)
        # Beyond 2**32 times the first delay there is nothing to double any more.
        return min(self._max_delay_s, self._first_delay_s * 2.0 ** min(count, 32))

    def succeeded(self, user: str, address: str) -> None:
        """Notes a right password."""
        self._table.pop(_key(user, address), None)

    def __len__(self) -> int:
        return len(self._table)


def _key(user: str, address: str) -> tuple[str, str]:
    # Who asks for a longer name is nobody, and is not to be remembered by all of it.
    return user[:MAX_USERNAME_LENGTH], address
