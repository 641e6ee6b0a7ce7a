"""Groups of scenes, and what scenes are made of."""

from collections.abc import Callable

from tests.drivers.foreign.steps import NEIGHBOUR, Step

Scene = list[Step]
GROUPS: dict[str, dict[str, Scene]] = {}
ENOUGH = 7  # executions: pgjdbc and psycopg name a statement at the fifth


def add(group: str, name: str, steps: Scene) -> None:
    GROUPS.setdefault(group, {})[name] = steps


def scene(group: str) -> Callable[[Callable[[], Scene]], Callable[[], Scene]]:
    """Puts what the function makes into a group."""

    def put(make: Callable[[], Scene]) -> Callable[[], Scene]:
        add(group, make.__name__, make())
        return make

    return put


def beside(steps: Scene, who: str = NEIGHBOUR) -> Scene:
    """The same, done by another session."""
    return [{**step, "who": who} for step in steps]
