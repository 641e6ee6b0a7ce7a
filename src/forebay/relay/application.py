"""What is known of all clients of one application. Written in Cython's pure mode."""


class Application:
    """All clients with one database, user and application_name (see session/applications.py).

    `asks`: one of them has asked what its session had drawn from a sequence (currval, lastval).
    """

    def __init__(self):
        self.asks = False
