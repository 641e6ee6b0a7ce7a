"""What Forebay says of pins."""

import json

from tests.harness.forebay import Forebay
from tests.harness.raw import RawClient


def pin_reasons(forebay: Forebay, client: RawClient | None = None) -> list[str]:
    """Why this client was pinned, or any, each time that one was."""
    lines = [json.loads(line) for line in forebay.logged("was pinned")]
    return [
        line["reason"]
        for line in lines
        if client is None or line["clientConnection"] == client.key[0]
    ]
