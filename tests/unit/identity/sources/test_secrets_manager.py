from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from forebay.identity.sources.aws import DeniedError, MissingError, SecretsManager
from forebay.identity.sources.secrets_manager import DENIED_FOR_S, AwsSource, secret_id
from forebay.identity.sources.source import SourceError, Versions

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/user-AbCdEf"
START_S = 1_700_000_000.0


class Manager(SecretsManager):
    """A Secrets Manager with one secret. `stages`: by label; `values`: by version."""

    def __init__(self) -> None:
        super().__init__({})
        self.stages = {"AWSCURRENT": "v1"}
        self.values: dict[str, bytes | str] = {"v1": "one"}
        self.created_at_s = {"v1": START_S}
        self.changed_at_s: float | None = START_S
        self.failures: dict[str, SourceError] = {}
        self.extra: dict[str, Any] = {}
        self.calls: list[tuple[str, ...]] = []
        self.asked: set[tuple[str | None, str]] = set()

    async def call(self, region: str | None, operation: str, **parameters: str) -> dict[str, Any]:
        self.asked.add((region, parameters.pop("SecretId")))
        self.calls.append((operation, *parameters.values()))
        if operation in self.failures:
            raise self.failures[operation]
        if operation == "describe_secret":
            by_version: dict[str, list[str]] = {version_id: [] for version_id in self.values}
            for stage, version_id in self.stages.items():
                by_version.setdefault(version_id, []).append(stage)
            found: dict[str, Any] = {"ARN": ARN, "VersionIdsToStages": by_version}
            if self.changed_at_s is not None:
                found["LastChangedDate"] = date(self.changed_at_s)
            return found | self.extra
        version_id = parameters.get("VersionId") or self.stages.get(parameters["VersionStage"], "")
        if version_id not in self.values:
            raise MissingError("has none")
        value = self.values[version_id]
        key = "SecretString" if isinstance(value, str) else "SecretBinary"
        found = {key: value, "VersionId": version_id}
        if version_id in self.created_at_s:
            found["CreatedDate"] = date(self.created_at_s[version_id])
        return found

    def put(self, version_id: str, value: str, at_s: float, *stages: str) -> None:
        self.values[version_id] = value
        self.created_at_s[version_id] = self.changed_at_s = at_s
        self.stages |= dict.fromkeys(stages, version_id)

    def finish(self, version_id: str) -> None:
        self.stages["AWSPREVIOUS"] = self.stages["AWSCURRENT"]
        self.stages["AWSCURRENT"] = version_id


def date(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def labels(found: Versions) -> tuple[bytes | None, ...]:
    return found.current, found.previous, found.pending


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def source(manager: Manager) -> AwsSource:
    return AwsSource(ARN, manager, wall_clock=lambda: START_S + 100, clock=lambda: 0.0)


def test_names_of_secrets() -> None:
    assert secret_id(ARN) == (ARN, "eu-west-1")
    assert secret_id("secretsmanager:app/user@x") == ("app/user@x", None)
    for wrong in (
        f"{ARN}:password::",
        "arn:aws:secretsmanager:eu-west-1:1:secret:x",
        "arn:aws:ssm:eu-west-1:111122223333:parameter/x",
        "arn:aws:secretsmanager:eu west:111122223333:secret:x",
    ):
        with pytest.raises(SourceError, match="is no ARN of a secret"):
            secret_id(wrong)
    with pytest.raises(SourceError, match="is no name of a secret"):
        secret_id("secretsmanager:a b")


async def test_the_secret_is_asked_for_in_its_region(manager: Manager) -> None:
    await AwsSource(ARN, manager).fetch()
    await AwsSource("secretsmanager:app", manager).fetch()
    assert manager.asked == {("eu-west-1", ARN), (None, "app")}


async def test_a_rotation(manager: Manager, source: AwsSource) -> None:
    assert labels(await source.fetch()) == (b"one", None, None)
    manager.put("v2", "two", START_S + 10, "AWSPENDING")
    assert labels(await source.fetch()) == (b"one", None, b"two")
    manager.finish("v2")  # as AWS's functions do, leaving AWSPENDING where it is
    found = await source.fetch()
    assert labels(found) == (b"two", b"one", None)
    assert found.version_id == "v2"


async def test_a_label_that_comes_before_its_value(manager: Manager, source: AwsSource) -> None:
    manager.stages["AWSPENDING"] = "v2"
    assert labels(await source.fetch()) == (b"one", None, None)
    manager.put("v2", "two", START_S + 10)
    assert labels(await source.fetch()) == (b"one", None, b"two")


async def test_values_are_fetched_once(manager: Manager, source: AwsSource) -> None:
    await source.fetch()
    await source.fetch()
    manager.put("v2", "two", START_S + 10, "AWSPENDING")
    await source.fetch()
    manager.finish("v2")
    await source.fetch()
    assert [each for each in manager.calls if each[0] == "get_secret_value"] == [
        ("get_secret_value", "v1"),
        ("get_secret_value", "v2"),
    ]


async def test_a_change_by_hand_after_a_rotation(manager: Manager, source: AwsSource) -> None:
    """AWSPENDING has stayed on what is the previous version by now, and then on none."""
    manager.put("v2", "two", START_S + 10, "AWSPENDING")
    manager.finish("v2")
    manager.put("v3", "three", START_S + 20)
    manager.finish("v3")
    assert labels(await source.fetch()) == (b"three", b"two", None)
    manager.put("v4", "four", START_S + 30)
    manager.finish("v4")
    assert labels(await source.fetch()) == (b"four", b"three", None)
    manager.put("v5", "five", START_S + 40, "AWSPENDING")
    assert labels(await source.fetch()) == (b"four", b"three", b"five")


async def test_a_rotation_that_is_taken_back(manager: Manager, source: AwsSource) -> None:
    manager.put("v2", "two", START_S + 10, "AWSPENDING")
    manager.finish("v2")
    manager.finish("v1")
    assert labels(await source.fetch()) == (b"one", b"two", None)


async def test_a_role_that_may_not_describe(manager: Manager) -> None:
    now_s = 0.0
    source = AwsSource(ARN, manager, wall_clock=lambda: START_S + 100, clock=lambda: now_s)
    manager.failures["describe_secret"] = DeniedError("no")
    manager.put("v0", "none", START_S - 10, "AWSPREVIOUS")
    manager.put("v2", "two", START_S + 10, "AWSPENDING")
    for _ in range(3):
        found = await source.fetch()
        assert labels(found) == (b"one", b"none", b"two")
        assert found.age_s == 100
    describing = ("describe_secret",)
    assert manager.calls.count(describing) == 1
    manager.finish("v2")
    assert labels(await source.fetch()) == (b"two", b"one", None)
    now_s = DENIED_FOR_S
    del manager.failures["describe_secret"]
    assert labels(await source.fetch()) == (b"two", b"one", None)
    assert labels(await source.fetch()) == (b"two", b"one", None)
    assert manager.calls[-1] == describing
    assert manager.calls.count(describing) == 3


async def test_a_role_that_may_not_describe_and_a_first_version(
    manager: Manager, source: AwsSource
) -> None:
    manager.failures["describe_secret"] = DeniedError("no")
    assert labels(await source.fetch()) == (b"one", None, None)
    manager.stages.clear()
    with pytest.raises(MissingError):
        await source.fetch()


async def test_a_role_that_may_do_nothing(manager: Manager, source: AwsSource) -> None:
    manager.failures |= dict.fromkeys(("describe_secret", "get_secret_value"), DeniedError("no"))
    with pytest.raises(DeniedError, match="no"):
        await source.fetch()


async def test_bytes(manager: Manager, source: AwsSource) -> None:
    manager.values["v1"] = b"\xffone"
    assert (await source.fetch()).current == b"\xffone"


async def test_how_long_it_has_been_current(manager: Manager, source: AwsSource) -> None:
    manager.put("v2", "two", START_S + 40, "AWSPENDING")
    manager.finish("v2")
    manager.changed_at_s = START_S + 60
    assert (await source.fetch()).age_s == 40
    manager.changed_at_s = START_S + 200  # its clock is ahead
    assert (await source.fetch()).age_s == 0
    manager.changed_at_s = None
    assert (await source.fetch()).age_s == 60
    manager.created_at_s.clear()
    source._known.clear()
    assert (await source.fetch()).age_s is None


def _deleted(manager: Manager) -> None:
    manager.extra["DeletedDate"] = date(START_S)


def _no_versions(manager: Manager) -> None:
    manager.extra["VersionIdsToStages"] = None


def _no_current(manager: Manager) -> None:
    manager.stages = {"AWSPENDING": "v1"}


def _current_without_value(manager: Manager) -> None:
    manager.stages = {"AWSCURRENT": "v9"}


def _garbage(manager: Manager) -> None:
    manager.extra |= {"ARN": None, "VersionIdsToStages": "hunter2"}


def _garbage_as_value(manager: Manager) -> None:
    manager.values["v1"] = 5  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_deleted, "restore-secret"),
        (_no_versions, "has no current value: give it one"),
        (_no_current, "has no current value: give it one"),
        (_current_without_value, "has no current value: give it one"),
        (_garbage, "what answered is not Secrets Manager"),
        (_garbage_as_value, "what answered is not Secrets Manager"),
    ],
)
async def test_what_cannot_be_used(
    manager: Manager, source: AwsSource, spoil: Callable[[Manager], None], said: str
) -> None:
    await source.fetch()
    source._known.clear()
    spoil(manager)
    with pytest.raises(SourceError, match=said):
        await source.fetch()
