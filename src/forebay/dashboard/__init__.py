"""What a node shows over HTTP on ``control_listen``: the page, its figures, health.

Starlette and uvicorn are imported when the first connection comes, not before: nobody may ever
look, and they take some 8 MB.
"""

from forebay.dashboard.listening import HttpListenError, open_http_listener
from forebay.dashboard.server import HttpServer
from forebay.dashboard.token import Token, TokenError

__all__ = ["HttpListenError", "HttpServer", "Token", "TokenError", "open_http_listener"]
