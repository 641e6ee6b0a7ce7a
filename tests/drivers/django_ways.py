"""Django in each way of keeping connections: ``-m tests.drivers.django_ways WAY TASK COUNT``."""

import sys
import threading

import django
from django.conf import settings

from tests.drivers import django_settings
from tests.drivers.workloads import DJANGO_WAYS, TIMEOUT_S, TURNS
from tests.harness.work import in_threads


def configure(way: str, count: int) -> None:
    """Django's settings are those of `django_settings`, but for the way of keeping connections."""
    database = django_settings.DATABASES["default"]
    given = dict(DJANGO_WAYS[way])
    choices = {**database["OPTIONS"], **given.pop("OPTIONS", {})}
    if "pool" in choices:
        choices["pool"] = {**choices["pool"], "max_size": count}
    settings.configure(
        DATABASES={"default": {**database, **given, "OPTIONS": choices}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        USE_TZ=True,
        SECRET_KEY="not one",
    )
    django.setup()


def book(count: int) -> None:
    """Views in threads make entries in the account book."""
    from django.db import connection, transaction

    pooled = "pool" in settings.DATABASES["default"]["OPTIONS"]
    together = threading.Barrier(count)

    def work(number: int) -> None:
        try:
            connection.ensure_connection()
            together.wait(TIMEOUT_S)
            for turn in range(TURNS):
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("INSERT INTO history VALUES (%s, 1, %s)", [1 + turn, number])
                    sql = "UPDATE account SET balance = balance + 1 WHERE id = %s"
                    cursor.execute(sql, [1 + turn])
                if pooled:
                    connection.close()  # gives it back, as at the end of each request
        finally:
            connection.close()

    in_threads(count, work, timeout_s=TIMEOUT_S)


def migrate(_count: int) -> None:
    """Creates the tables of Django's own applications."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def iterate(_count: int) -> None:
    """Rows in chunks; outside a transaction .iterator() declares a cursor WITH HOLD."""
    from django.contrib.contenttypes.models import ContentType
    from django.db import transaction

    rows = ContentType.objects.order_by("pk").iterator(chunk_size=2)
    assert len(list(rows)) == ContentType.objects.count() > 2
    with transaction.atomic():
        assert len(list(ContentType.objects.iterator(chunk_size=2))) > 2


def main(way: str, task: str, count: str) -> None:
    configure(way, int(count))
    {"book": book, "migrate": migrate, "iterate": iterate}[task](int(count))
    from django.db import connection

    connection.close()
    if "pool" in settings.DATABASES["default"]["OPTIONS"]:
        connection.close_pool()


if __name__ == "__main__":
    main(*sys.argv[1:])
