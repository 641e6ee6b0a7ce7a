"""What clients with equal settings were told at their login, kept to answer the next ones from."""

from collections import OrderedDict
from collections.abc import Callable

from forebay.relay import MicroPool
from forebay.session.settings import InternTable, Parameters, Values

GREETINGS_KEPT = 1024
# The longest application_name that PostgreSQL reports as it was given (NAMEDATALEN - 1).
NAME_BYTES = 63


class Greetings:
    """The reported parameters of connections, by database, user and settings, as far as seen.

    application_name is reported as it was given, so that names of clients (often unique) do not
    each cost a connection.
    """

    def __init__(self, intern: InternTable) -> None:
        self._intern = intern
        self._known: OrderedDict[tuple[str, str, Values, bool], Parameters] = OrderedDict()

    def parameters(self, pool: MicroPool, settings: Values) -> Parameters | None:
        """What a connection with these settings reports, or None if none was seen."""
        rest, name = _split_name(settings)
        known = self._known.get((pool.database, pool.user, rest, name is not None))
        if known is None or name is None:
            return known
        return self._intern.parameters({**known.values, "application_name": name})

    def remember(self, pool: MicroPool, settings: Values, parameters: Parameters) -> None:
        """A connection with these settings reports these parameters."""
        rest, name = _split_name(settings)
        # Not by the pool, which is forgotten when it has had neither clients nor connections.
        key = (pool.database, pool.user, rest, name is not None)
        self._known[key] = parameters
        self._known.move_to_end(key)
        if len(self._known) > GREETINGS_KEPT:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """The database may report other parameters from now on (a new init_query, say)."""
        self._known.clear()

    def forget_databases(self, is_meant: Callable[[str], bool]) -> None:
        """Forget what databases with such names report: they are dropped, or other databases have
        their names now."""
        for key in [key for key in self._known if is_meant(key[0])]:
            del self._known[key]


def _split_name(values: Values) -> tuple[Values, str | None]:
    """Settings without application_name, and its value if it is reported as it was given."""
    for index, (name, value) in enumerate(values):
        if name == "application_name":
            if value.isascii() and value.isprintable() and len(value) <= NAME_BYTES:
                return values[:index] + values[index + 1 :], value
            break
    return values, None
