"""What ``max_connections`` is where AWS computes it, by AWS's own formula and tables.

The formula is ``LEAST({DBInstanceClassMemory/9531392},5000)``, in RDS for PostgreSQL ("Quotas and
constraints for Amazon RDS", maximum number of database connections) and in Aurora PostgreSQL
("Managing Amazon Aurora PostgreSQL", maximum connections). DBInstanceClassMemory is the memory of
the class less what AWS keeps for itself, which is told nowhere; so AWS's tables come first, and
where there is none the result is an estimate that says so.
"""

from typing import Final, Literal

import msgspec

Engine = Literal["aurora-postgresql", "postgres"]

BYTES_FOR_ONE_CONNECTION: Final = 9_531_392
MOST_CONNECTIONS: Final = 5000
GIB: Final = 1 << 30

# PostgreSQL's default of superuser_reserved_connections; and on AWS
# rds.rds_superuser_reserved_connections, which is 2 unless a parameter group says otherwise.
RESERVED: Final = 3
RESERVED_ON_AWS: Final = 5

# "Performance and scaling for Aurora Serverless v2", maximum connections: by the maximum ACUs.
ACU_TABLE: Final = ((1.0, 189), (4.0, 823), (8.0, 1669), (16.0, 3360), (32.0, MOST_CONNECTIONS))
MOST_ACUS: Final = 256.0
# The same page, for a minimum of 0.5; and "Working of max_connections for Amazon Aurora PostgreSQL
# Serverless" (AWS re:Post), for a minimum of 0 as well.
CAPPED_UP_TO_ACUS: Final = 0.5
CAPPED_CONNECTIONS: Final = 2000

# "Managing Amazon Aurora PostgreSQL", maximum connections. Classes of 64 GiB and more: 5000.
AURORA_TABLE: Final = {
    "db.x2g.large": 3479,
    "db.r6g.xlarge": 3479,
    "db.r6g.large": 1722,
    "db.r5.xlarge": 3300,
    "db.r5.large": 1600,
    "db.r4.xlarge": 3200,
    "db.r4.large": 1600,
    "db.t4g.large": 844,
    "db.t4g.medium": 405,
    "db.t3.large": 844,
    "db.t3.medium": 420,
}

# "Hardware specifications for DB instance classes": GiB of the size "large", and the largest size.
_FAMILIES: Final = {
    **dict.fromkeys(("t3", "t4g"), (8.0, "2xlarge")),
    **dict.fromkeys(("m5", "m5d"), (8.0, "24xlarge")),
    **dict.fromkeys(("m6g", "m6gd", "m7g"), (8.0, "16xlarge")),
    **dict.fromkeys(("m6i", "m6id"), (8.0, "32xlarge")),
    **dict.fromkeys(("m7i", "m8g"), (8.0, "48xlarge")),
    "r4": (15.25, "16xlarge"),
    **dict.fromkeys(("r5", "r5d"), (16.0, "24xlarge")),
    **dict.fromkeys(("r6g", "r6gd", "r7g"), (16.0, "16xlarge")),
    **dict.fromkeys(("r6i", "r6id"), (16.0, "32xlarge")),
    **dict.fromkeys(("r7i", "r8g", "r8gd"), (16.0, "48xlarge")),
    "x2g": (32.0, "16xlarge"),
}
_SIZES: Final = {  # in sizes "large"
    "micro": 0.125,
    "small": 0.25,
    "medium": 0.5,
    "large": 1,
    "xlarge": 2,
    "2xlarge": 4,
    "4xlarge": 8,
    "8xlarge": 16,
    "12xlarge": 24,
    "16xlarge": 32,
    "24xlarge": 48,
    "32xlarge": 64,
    "48xlarge": 96,
}
_BURSTABLE: Final = ("t3", "t4g")
# By all of its memory a class would have more than AWS's tables give it: 3 to 16 %, the more the
# smaller it is. Planned is with the least.
LEAST_SHARE_OF_MEMORY: Final = 0.84


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What a database allows. ``basis``: what ``max_connections`` was taken from, in words;
    ``exact``: it stands in a table of AWS's, or was given. ``allowed``: the limit of the proxy that
    runs before it, if there is one; None: what a percentage allows."""

    name: str
    max_connections: int
    reserved: int
    basis: str
    exact: bool = True
    allowed: int | None = None
    warnings: list[str] = []

    @property
    def usable(self) -> int:
        """Connections that are not reserved."""
        return max(0, self.max_connections - self.reserved)

    def limit(self, percent: int) -> int:
        """How many a proxy holds with this ``max_connections_percent``, as Forebay rounds it; or
        how many the running one does."""
        if self.allowed is not None:
            return self.allowed
        return max(1, self.usable * percent // 100)


def of_max_connections(max_connections: int, reserved: int | None = None) -> Capacity:
    """Raises ValueError if that is no limit."""
    if not 1 <= max_connections <= 262_143:  # PostgreSQL's
        raise ValueError(f"max_connections of {max_connections}: from 1 to 262143")
    return Capacity(
        name=f"max_connections {max_connections}",
        max_connections=max_connections,
        reserved=RESERVED if reserved is None else reserved,
        basis="as given",
    )


def of_acus(text: str, reserved: int | None = None) -> Capacity:
    """Of Aurora PostgreSQL Serverless v2 with the range ``MIN-MAX`` of ACUs. Raises ValueError."""
    least, most = _acus(text)
    connections, exact = _by_maximum(most)
    basis = f"AWS's table, for a maximum of {most:g} ACUs"
    if not exact:
        basis = f"between the rows of AWS's table, for a maximum of {most:g} ACUs"
    warnings = []
    if least <= CAPPED_UP_TO_ACUS and connections > CAPPED_CONNECTIONS:
        basis = f"AWS's cap for a minimum of {least:g} ACUs (with 1 it would be {connections})"
        connections, exact = CAPPED_CONNECTIONS, True
    if least == 0:
        warnings.append(
            "A database that is to pause at 0 ACUs does not while a proxy keeps connections to it."
        )
    return Capacity(
        name=f"Aurora {least:g}-{most:g} ACU",
        max_connections=connections,
        reserved=RESERVED_ON_AWS if reserved is None else reserved,
        basis=basis,
        exact=exact,
        warnings=warnings,
    )


def _acus(text: str) -> tuple[float, float]:
    wrong = ValueError(f"{text!r}: a range of ACUs is MIN-MAX in steps of 0.5, such as 0.5-4")
    first, hyphen, second = text.partition("-")
    try:
        least, most = float(first), float(second if hyphen else first)
    except ValueError:
        raise wrong from None
    if not 0 <= least <= most <= MOST_ACUS or least % 0.5 or most % 0.5:
        raise wrong
    if most < 1:
        raise ValueError(f"{text!r}: AWS takes no maximum below 1 ACU")
    return least, most


def _by_maximum(acus: float) -> tuple[int, bool]:
    """``max_connections`` by the maximum of ACUs, and whether AWS's table has it.

    Between two rows as on the line through them: about 211 an ACU.
    """
    if acus >= ACU_TABLE[-1][0]:
        return ACU_TABLE[-1][1], True
    rows = dict(ACU_TABLE)
    if acus in rows:
        return rows[acus], True
    below = max(row for row in ACU_TABLE if row[0] < acus)
    # The last row is cut off at 5000: beyond 16 ACUs the line before it goes on.
    index = min(ACU_TABLE.index(below), len(ACU_TABLE) - 3)
    (first, at_first), (second, at_second) = ACU_TABLE[index : index + 2]
    slope = (at_second - at_first) / (second - first)
    return min(MOST_CONNECTIONS, int(at_first + slope * (acus - first))), False


def of_instance_class(name: str, engine: Engine, reserved: int | None = None) -> Capacity:
    """Of a DB instance class such as ``db.r6g.large``. Raises ValueError if it is not known."""
    in_table = AURORA_TABLE.get(name) if engine == "aurora-postgresql" else None
    if in_table is not None:
        return Capacity(
            name=name,
            max_connections=in_table,
            reserved=RESERVED_ON_AWS if reserved is None else reserved,
            basis="AWS's table for Aurora PostgreSQL",
        )
    memory_gib = memory_of(name)
    if memory_gib is None:
        raise ValueError(
            f"{name!r}: this instance class is not known here; give --memory with its memory, or"
            " --max-connections with what SHOW max_connections says"
        )
    return of_memory(int(memory_gib * GIB), name, reserved)


def memory_of(instance_class: str) -> float | None:
    """GiB, or None if the class is not known."""
    prefix, _, rest = instance_class.partition(".")
    family, _, size = rest.partition(".")
    if prefix != "db" or family not in _FAMILIES or size not in _SIZES:
        return None
    of_large, largest = _FAMILIES[family]
    if _SIZES[size] > _SIZES[largest] or (_SIZES[size] < 1 and family not in _BURSTABLE):
        return None
    return of_large * _SIZES[size]


def of_memory(memory_bytes: int, name: str = "", reserved: int | None = None) -> Capacity:
    """Of a class on AWS with so much memory. An estimate, but for large ones. Raises ValueError."""
    if memory_bytes < GIB // 2:
        raise ValueError(f"{memory_bytes} bytes of memory: no instance class has less than 512 MiB")
    most = min(MOST_CONNECTIONS, memory_bytes // BYTES_FOR_ONE_CONNECTION)
    least = min(
        MOST_CONNECTIONS, int(memory_bytes * LEAST_SHARE_OF_MEMORY / BYTES_FOR_ONE_CONNECTION)
    )
    memory = f"{memory_bytes / GIB:g} GiB"
    basis = f"{memory} / {BYTES_FOR_ONE_CONNECTION}, at most {MOST_CONNECTIONS}"
    warnings = []
    if least < most:
        basis = f"estimated from {memory}: {least} to {most}, planned with {least}"
        warnings.append(
            f"How much of its {memory} AWS counts is not known:"
            " SHOW max_connections tells it, for --max-connections."
        )
    return Capacity(
        name=name or f"an instance of {memory}",
        max_connections=least,
        reserved=RESERVED_ON_AWS if reserved is None else reserved,
        basis=basis,
        exact=least == most,
        warnings=warnings,
    )
