"""``/metrics``: what scrapers read. However many there are, the figures are put into words once."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from forebay.metrics.micropools import MicroPools
from forebay.metrics.prometheus import content_type, exposition, wants_openmetrics
from forebay.node.errors import WorkerUnavailableError
from forebay.node.observer import Observer
from forebay.node.shared import Shared

AGE_S: Final = 0.5
"""For as long an answer serves all who ask for the same."""


class Scrapes:
    """Answers scrapers of one node."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._micro_pools = MicroPools()
        self._texts = {each: Shared(partial(self._text, each), AGE_S) for each in (False, True)}

    async def answer(self, request: Request) -> Response:
        """The exposition in the format that is asked for; 503 while no worker answers."""
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        try:
            text = await self._texts[openmetrics].get()
        except WorkerUnavailableError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return Response(text, headers={"Content-Type": content_type(openmetrics=openmetrics)})

    async def _text(self, openmetrics: bool) -> bytes:
        figures = await self._observer.figures(pools=True)
        return exposition(figures, openmetrics=openmetrics, micro_pools=self._micro_pools)
