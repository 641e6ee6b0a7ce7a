"""What is measured; one file each. A measure takes the world and gives rows."""

from collections.abc import Callable

from bench.measures import (
    bulk,
    changeover,
    crowd,
    latency,
    literals,
    logins,
    looking,
    memory,
    scrape,
    storm,
    tokens,
    transactions,
    waiting,
)
from bench.results import Row
from bench.world import World

Measure = Callable[[World], list[Row]]

# Name → what it does, in the order of the table.
MEASURES: dict[str, Measure] = {
    "transactions": transactions.measure,
    "literals": literals.measure,
    "change-over": changeover.measure,
    "latency": latency.measure,
    "waiting": waiting.measure,
    "crowd": crowd.measure,
    "memory": memory.measure,
    "logins": logins.measure,
    "bulk": bulk.measure,
    "storm": storm.measure,
    "tokens": tokens.measure,
    "looking": looking.measure,
    "scrape": scrape.measure,
}
