"""What the page asks of a node (`forebay.node.Node`)."""

from typing import Protocol

from forebay.node.status import Status


class Watched(Protocol):
    """A running node."""

    async def status(self) -> Status:
        """What it is and does now."""
