"""What is known of all clients of one application."""

class Application:
    asks: bool
