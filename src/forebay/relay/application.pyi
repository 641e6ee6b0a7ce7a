"""What is known of all clients of one application."""

from typing import final

@final
class Application:
    asks: bool
