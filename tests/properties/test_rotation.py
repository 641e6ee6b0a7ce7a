"""While a secret rotates, in either way and however often it is broken off, whoever shows what the
database accepts is let in, and what is tried at the database holds something that it accepts."""

import json
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given

from forebay.identity.holding import Held, compose
from forebay.identity.rotation import CLONE_SUFFIX, plans
from forebay.identity.sources.source import Versions

OVERLAP_S = 300.0
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")

Credential = tuple[str, str]


@dataclass
class Rotating:
    """A secret, its database, and AWS's rotation function, whose steps may come at any time and
    more than once. ``known``: what clients have read as AWSCURRENT, with the time until when the
    operator lets them use it."""

    alternating: bool
    now_s: float = 0.0
    number: int = 1
    versions: dict[str, Credential] = field(default_factory=lambda: {"v1": ("u", "p1")})
    stages: dict[str, str] = field(default_factory=lambda: {"AWSCURRENT": "v1"})
    database: dict[str, str] = field(default_factory=lambda: {"u": "p1"})
    finished_at_s: float = -OVERLAP_S

    @property
    def pending(self) -> str | None:
        found = self.stages.get("AWSPENDING")
        return None if found == self.stages["AWSCURRENT"] else found

    def step(self, name: str) -> None:
        """Does nothing if it is not its turn, as the real ones."""
        if name == "createSecret" and self.pending is None:
            self.number += 1
            user, _ = self.versions[self.stages["AWSCURRENT"]]
            if self.alternating:
                is_clone = user.endswith(CLONE_SUFFIX)
                user = user.removesuffix(CLONE_SUFFIX) if is_clone else user + CLONE_SUFFIX
            self.versions[f"v{self.number}"] = (user, f"p{self.number}")
            self.stages["AWSPENDING"] = f"v{self.number}"
        elif name == "setSecret" and self.pending is not None:
            user, password = self.versions[self.pending]
            self.database[user] = password
        elif name == "finishSecret" and self.pending is not None and self.is_set(self.pending):
            self.stages["AWSPREVIOUS"] = self.stages["AWSCURRENT"]
            self.stages["AWSCURRENT"] = self.pending
            self.finished_at_s = self.now_s
        elif name == "cancel" and self.pending is not None and not self.is_set(self.pending):
            del self.stages["AWSPENDING"]

    def is_set(self, version: str) -> bool:
        user, password = self.versions[version]
        return self.database.get(user) == password

    def read(self, stage: str) -> bytes | None:
        version = self.stages.get(stage)
        if stage == "AWSPENDING":
            version = self.pending
        if version is None:
            return None
        user, password = self.versions[version]
        return json.dumps({"username": user, "password": password}).encode()

    def fetch(self) -> Versions:
        current = self.read("AWSCURRENT")
        assert current is not None
        previous, pending = self.read("AWSPREVIOUS"), self.read("AWSPENDING")
        return Versions(current, previous, pending, self.stages["AWSCURRENT"])


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from((*STEPS, "cancel")), st.floats(0, 200)), max_size=30),
)
def test_what_the_database_accepts_is_accepted(
    alternating: bool, steps: list[tuple[str, float]]
) -> None:
    world = Rotating(alternating)
    held: Held | None = None
    for name, pause_s in [("", 0.0), *steps]:
        world.now_s += pause_s
        world.step(name)
        held, unusable = compose(ARN, held, world.fetch(), world.now_s)
        assert unusable is None
        (plan,) = plans(held, world.now_s, OVERLAP_S)
        shown = {(user, each.reveal()) for user, found in plan.passwords.items() for each in found}
        tried = [(each.username, each.password.reveal()) for each in plan.logins if each.password]
        works = set(world.database.items())
        overlaps = world.now_s < world.finished_at_s + OVERLAP_S
        for credential in works:
            # The name that is not current outlives the overlap at the database, not here.
            is_former = credential not in {
                world.versions[each]
                for each in (world.stages["AWSCURRENT"], world.pending)
                if each is not None
            }
            assert credential in shown or (is_former and not overlaps)
        assert tried[0] == world.versions[world.pending or world.stages["AWSCURRENT"]]
        assert works & set(tried)
        assert plan.identity == "u"
        for user in shown:
            assert user[0] in {each for each, _ in tried}


@given(st.booleans(), st.integers(1, 4))
def test_whole_rotations_one_after_the_other(alternating: bool, count: int) -> None:
    """Each step in its turn: a client that has read AWSCURRENT within the overlap gets in."""
    world = Rotating(alternating)
    held: Held | None = None
    read: list[tuple[float, Credential]] = []
    for name in STEPS * count:
        world.now_s += 100.0
        world.step(name)
        held, _ = compose(ARN, held, world.fetch(), world.now_s)
        (plan,) = plans(held, world.now_s, OVERLAP_S)
        read.append((world.now_s, world.versions[world.stages["AWSCURRENT"]]))
        for at_s, (user, password) in read:
            if at_s > world.now_s - OVERLAP_S:
                assert password in [each.reveal() for each in plan.passwords[user]]
