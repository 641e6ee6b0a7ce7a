"""What a node gathers for a configuration, without a node."""

import asyncio
from collections.abc import Mapping

from forebay.config import Config
from forebay.node.materials import Material, Materials


async def gather(config: Config, environ: Mapping[str, str]) -> dict[str, Material]:
    """By proxy. Raises MaterialError."""
    kept = Materials(environ, lambda _: None)
    try:
        return await kept.gather(config)
    finally:
        await kept.close()


def gathered(config: Config, environ: Mapping[str, str]) -> dict[str, Material]:
    """As `gather`, where no event loop runs."""
    return asyncio.run(gather(config, environ))
