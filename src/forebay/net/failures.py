"""What went wrong with a database connection, in a word."""

import errno
import socket
from typing import Literal

from forebay.net.encryption import TLSError
from forebay.net.server_login import AuthenticationError
from forebay.protocol.messages import MalformedMessageError

FailureKind = Literal["refused", "timeout", "lost", "auth", "protocol", "other"]
"""
    refused     nobody listens there, or the name has no address
    timeout     it, or the network, keeps silent
    lost        the connection ended
    auth        the server asks for what cannot or will not be given
    protocol    what answers there is no PostgreSQL
    other       anything else: a certificate that is not right, say
"""

_SILENT = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def kind_of(error: Exception) -> FailureKind:
    """Of what a connection, or its login, has ended with."""
    match error:
        case TimeoutError():
            return "timeout"
        case ConnectionRefusedError() | FileNotFoundError():  # the latter: of a Unix socket
            return "refused"
        case socket.gaierror():
            # Resolvers that can't be asked say nothing about the server.
            return "timeout" if error.errno == socket.EAI_AGAIN else "refused"
        case TLSError():  # a ConnectionError, and no word of whether the server is there
            return "other"
        case ConnectionError():
            return "lost"
        case OSError() if error.errno in _SILENT:
            return "timeout"
        case AuthenticationError():
            return "auth"
        case MalformedMessageError():
            return "protocol"
        case _:
            return "other"
