"""Which applications ask what their session has drawn from a sequence (currval, lastval).

An application is known by database, user and application_name, as the database sees it: its clients
run the same code. Whoever asks is remembered for the others of its kind, who keep their connection
from what they draw next on.
"""

from collections import OrderedDict
from weakref import WeakValueDictionary

from forebay.relay import Application, Client
from forebay.worker.kept import settings_of

# As many that ask are remembered, those first out that nobody has been of for the longest time.
ASKING_LIMIT = 10_000
# Longer names are cut, as PostgreSQL does.
NAME_CHARACTERS = 63

Name = tuple[str, str, str]


class Applications:
    """The applications of one proxy's clients."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Name, Application] = WeakValueDictionary()
        self._asking: OrderedDict[Name, Application] = OrderedDict()

    def of(self, client: Client) -> Application:
        """Returns the application that the client belongs to by its settings of now."""
        name = _name(client)
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = Application()
        elif name in self._asking:
            self._asking.move_to_end(name)
        return found

    def learn(self, client: Client) -> None:
        """Note that the client has asked what its session has drawn, and so all of its application
        may."""
        if client.application.asks:
            return
        client.application.asks = True
        self._asking[_name(client)] = client.application
        if len(self._asking) > ASKING_LIMIT:
            self._asking.popitem(last=False)


def _name(client: Client) -> Name:
    called = dict(settings_of(client).values).get("application_name", "")
    return client.pool.database, client.pool.user, called[:NAME_CHARACTERS]
