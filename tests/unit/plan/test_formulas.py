"""``max_connections`` as AWS computes it."""

import pytest

from forebay.plan.formulas import (
    AURORA_TABLE,
    BYTES_FOR_ONE_CONNECTION,
    GIB,
    LEAST_SHARE_OF_MEMORY,
    Capacity,
    memory_of,
    of_acus,
    of_instance_class,
    of_max_connections,
    of_memory,
)
from forebay.worker.pool.budget import Budget


@pytest.mark.parametrize(
    ("acus", "connections", "exact"),
    [
        ("0.5-1", 189, True),  # these eight stand in AWS's table, but for the cap
        ("1-4", 823, True),
        ("0.5-8", 1669, True),
        ("1-16", 3360, True),
        ("1-32", 5000, True),
        ("2-128", 5000, True),
        ("0.5-16", 2000, True),
        ("0-256", 2000, True),
        ("4", 823, True),
        ("0.5-2", 400, False),
        ("1-1.5", 294, False),
        ("1-6", 1246, False),
        ("1-20", 4205, False),
        ("1-31.5", 5000, False),
    ],
)
def test_serverless(acus: str, connections: int, exact: bool) -> None:
    capacity = of_acus(acus)
    assert (capacity.max_connections, capacity.exact) == (connections, exact)
    assert capacity.reserved == 5
    assert bool(capacity.warnings) == acus.startswith("0-")


def test_more_acus_never_mean_fewer_connections() -> None:
    by_acus = [of_acus(f"1-{halves / 2}").max_connections for halves in range(2, 513)]
    assert by_acus == sorted(by_acus)


def test_the_cap_says_so() -> None:
    assert "with 1 it would be 3360" in of_acus("0.5-16").basis
    assert "cap" not in of_acus("0.5-8").basis


@pytest.mark.parametrize(
    "acus", ["", "a-b", "1-", "-1", "4-1", "0.3-4", "1-257", "1-4-8", "nan-1", "0-0.5", "0.5"]
)
def test_no_range_of_acus(acus: str) -> None:
    with pytest.raises(ValueError, match="ACU"):
        of_acus(acus)


def test_classes_in_the_table() -> None:
    capacity = of_instance_class("db.r6g.large", "aurora-postgresql")
    assert (capacity.max_connections, capacity.exact) == (1722, True)
    # The formula cannot give more than all of the memory would.
    for name, connections in AURORA_TABLE.items():
        memory_gib = memory_of(name)
        assert memory_gib is not None
        most = memory_gib * GIB / BYTES_FOR_ONE_CONNECTION
        assert LEAST_SHARE_OF_MEMORY * most < connections < most


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("db.t4g.micro", 1),
        ("db.t3.medium", 4),
        ("db.t3.2xlarge", 32),
        ("db.m7g.xlarge", 16),
        ("db.r4.16xlarge", 488),
        ("db.r6i.32xlarge", 1024),
        ("db.x2g.16xlarge", 1024),
        ("db.r7g.12xlarge", 384),
        ("db.r7g.24xlarge", None),
        ("db.m6g.micro", None),
        ("db.t3.4xlarge", None),
        ("db.z9.large", None),
        ("r6g.large", None),
        ("db.r6g", None),
        ("", None),
    ],
)
def test_memory(name: str, gib: float | None) -> None:
    assert memory_of(name) == gib


def test_classes_beside_the_table_are_estimates() -> None:
    for engine in ("postgres", "aurora-postgresql"):
        capacity = of_instance_class("db.m6g.large", engine)  # type: ignore[arg-type]
        assert (capacity.max_connections, capacity.exact) == (757, False)
        assert "757 to 901" in capacity.basis
        assert capacity.warnings
    assert not of_instance_class("db.r6g.large", "postgres").exact
    large = of_instance_class("db.r6g.4xlarge", "aurora-postgresql")
    assert (large.max_connections, large.exact, large.warnings) == (5000, True, [])


def test_an_unknown_class_names_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"db\.q1\.large.*--memory.*--max-connections"):
        of_instance_class("db.q1.large", "postgres")


def test_memory_of_its_own() -> None:
    assert of_memory(8 * GIB).max_connections == 757
    assert of_memory(8 * GIB).name == "an instance of 8 GiB"
    with pytest.raises(ValueError, match="512 MiB"):
        of_memory(1000)


def test_what_is_given() -> None:
    capacity = of_max_connections(100)
    assert (capacity.reserved, capacity.usable, capacity.exact) == (3, 97, True)
    assert of_max_connections(100, 10).usable == 90
    assert of_max_connections(5, 10).usable == 0
    for wrong in (0, -1, 1 << 20):
        with pytest.raises(ValueError, match="from 1 to"):
            of_max_connections(wrong)


@pytest.mark.parametrize("max_connections", [1, 3, 45, 100, 189, 5000])
@pytest.mark.parametrize("percent", [1, 33, 90, 100])
def test_limits_are_rounded_as_the_pool_rounds_them(max_connections: int, percent: int) -> None:
    capacity = Capacity(name="", max_connections=max_connections, reserved=3, basis="")
    budget = Budget.of(max_connections, 3, percent, percent)
    assert capacity.limit(percent) == budget.limit
