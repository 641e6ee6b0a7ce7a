"""The listening end of ``control_listen``."""

from forebay.config.addresses import parse_address
from forebay.config.settings import DEFAULT_CONTROL_LISTEN, NodeSettings
from forebay.node.listeners import Listener, ListenError, open_listeners

WAY_OUT = 'set it to another address, or to "" for none'


class HttpListenError(Exception):
    """The address can't be listened on; the text says which, why, and what to do.

    ``is_default``: nobody has asked for this address, so the node can do without.
    """

    def __init__(self, text: str, *, is_default: bool) -> None:
        super().__init__(text)
        self.is_default = is_default


def open_http_listener(node: NodeSettings) -> Listener | None:
    """Listen on ``control_listen``; None if that is "". Raises HttpListenError.

    Nobody is accepted before `HttpServer.start`: connections wait in the kernel.
    """
    if not node.control_listen:
        return None
    try:
        (listener,) = open_listeners([parse_address(node.control_listen, wildcard=True)])
    except ListenError as error:
        is_default = error.in_use and node.control_listen == DEFAULT_CONTROL_LISTEN
        text = f"node.control_listen: {error}; {WAY_OUT}"
        raise HttpListenError(text, is_default=is_default) from None
    return listener
