"""Belief, twice: as it runs compiled, and the same source interpreted."""

from types import ModuleType
from typing import Any

from forebay.relay import belief
from tests.unit.relay.ledgers import interpreted

BELIEFS: dict[str, ModuleType] = {"compiled": belief, "interpreted": interpreted("belief")}


class Pipeline:
    """Messages with consequences, as a connection sends them."""

    def __init__(self, module: Any) -> None:
        self.keep, self.unknown, self.all = module.marks()
        self.module = module
        self.names = module.Table()
        self.unnamed = module.Cell()
        self.unanswered = module.Unanswered()

    def send(self, *changes: tuple[Any, ...]) -> None:
        """Send a message with these changes: place, key, value, and what `note` takes besides."""
        message = self.module.Message()
        for change in changes:
            self.module.note(message, *change)
        self.unanswered.sent(message)

    def end_batch(self) -> None:
        self.unanswered.batch += 1
