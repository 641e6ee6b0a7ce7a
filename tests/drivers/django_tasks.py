"""Works with Django in a process of its own: ``python -m tests.drivers.django_tasks TASK``.

Django is configured once a process, by the environment: hence not in the tests' own.
"""

import os
import sys
import threading

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.drivers.django_settings"

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, models, transaction  # noqa: E402

from tests.drivers.django_shop.models import Order, Product  # noqa: E402
from tests.harness.work import in_threads  # noqa: E402


def migrate() -> None:
    """Creates all tables, those of Django's own applications with its migrations."""
    call_command("migrate", verbosity=0, run_syncdb=True)
    call_command("check", databases=["default"], verbosity=0)
    Product.objects.bulk_create(Product(name=f"product {n}", stock=10_000) for n in range(5))


def orm() -> None:
    """What views do."""
    user = User.objects.create_user("ada", password="secret")
    assert User.objects.get(username="ada").check_password("secret")
    user.groups.create(name="editors")
    assert User.objects.filter(groups__name="editors").exists()
    product = Product.objects.get(name="product 1")
    made = Order.objects.bulk_create(
        (Order(product=product, quantity=n, buyer="ada", note={"n": n}) for n in range(500)),
        batch_size=100,
    )
    assert len({order.pk for order in made}) == 500
    total = Order.objects.aggregate(total=models.Sum("quantity"))["total"]
    assert total == sum(range(500))
    assert Order.objects.filter(note__n=7).get().quantity == 7
    Order.objects.filter(buyer="ada").update(quantity=models.F("quantity") + 1)
    assert Order.objects.select_related("product").first().product == product
    assert Product.objects.prefetch_related("order_set").get(pk=product.pk).order_set.count() == 500
    product.delete()
    assert not Order.objects.exists()
    assert Product.objects.get_or_create(name="product 1", defaults={"stock": 5})[1]


def iterate() -> None:
    """Rows in chunks: outside a transaction Django declares a cursor WITH HOLD."""
    product = Product.objects.get(name="product 2")
    Order.objects.bulk_create(Order(product=product, quantity=1, buyer=str(n)) for n in range(2500))
    rows = Order.objects.order_by("pk").iterator(chunk_size=300)
    assert sum(order.quantity for order in rows) == 2500
    with transaction.atomic():
        rows = Order.objects.order_by("pk").iterator(chunk_size=300)
        assert sum(order.quantity for order in rows) == 2500
    interrupted = Order.objects.iterator(chunk_size=10)
    next(interrupted)
    interrupted.close()
    assert Order.objects.count() == 2500


def transactions() -> None:
    """atomic blocks, savepoints, and what is done on commit."""
    committed: list[str] = []
    with transaction.atomic():
        Product.objects.create(name="kept")
        transaction.on_commit(lambda: committed.append("kept"))
        try:
            with transaction.atomic():
                Product.objects.create(name="not kept")
                Product.objects.create(name="kept")
        except IntegrityError:
            pass
        with transaction.atomic():
            Product.objects.create(name="not kept either")
            transaction.set_rollback(True)
    assert committed == ["kept"]
    assert list(Product.objects.filter(name__contains="kept").values_list("name", flat=True)) == [
        "kept"
    ]
    try:
        with transaction.atomic(durable=True):
            Product.objects.all().delete()
            raise KeyError
    except KeyError:
        pass
    assert Product.objects.count() == 6


def buy_in_threads() -> None:
    """Threads, each with a connection of its own, that lock rows; more than there is room for."""
    together = threading.Barrier(10)

    def work(number: int) -> None:
        try:
            together.wait(60)
            for turn in range(5):
                with transaction.atomic():
                    product = Product.objects.select_for_update().get(name=f"product {turn}")
                    Order.objects.create(product=product, quantity=2, buyer=f"thread {number}")
                    product.stock -= 2
                    product.save(update_fields=["stock"])
                connection.close()  # as at the end of each request (CONN_MAX_AGE is 0)
        finally:
            connection.close()

    in_threads(10, work)
    for product in Product.objects.annotate(sold=models.Sum("order__quantity")):
        assert product.stock == 10_000 - product.sold, product.name
    assert Order.objects.count() == 50


if __name__ == "__main__":
    globals()[sys.argv[1]]()
