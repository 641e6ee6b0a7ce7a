"""What the page asks of a node (`forebay.node.Node`)."""

from typing import Protocol

from forebay.config.settings import Config
from forebay.node.history import History
from forebay.node.observer import Observer
from forebay.node.status import Status


class Watched(Protocol):
    """A running node."""

    observer: Observer
    history: History

    @property
    def config(self) -> Config:
        """What is in force."""

    async def status(self) -> Status:
        """What it is and does now."""
