"""A first look at statement text: certainly without effect on the session, or not."""

def glance_text(text: bytes) -> bool:
    """Whether ``text`` certainly changes nothing in the session that runs it."""

class ChunkedGlance:
    """The same for a text that arrives in pieces."""

    def feed(self, chunk: bytes) -> bool:
        """Look at the next piece; False as soon as the answer can only be False."""

    def finish(self) -> bool:
        """The answer for the whole text."""
