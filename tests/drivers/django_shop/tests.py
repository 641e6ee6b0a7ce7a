"""Its tests, as ``manage.py test`` runs them; two classes, for two processes."""

from django.db import transaction
from django.test import TestCase, TransactionTestCase

from tests.drivers.django_shop.models import Order, Product


class OrderTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.product = Product.objects.create(name="tea", stock=5)

    def test_order(self) -> None:
        Order.objects.create(product=self.product, quantity=2, buyer="ada")
        assert Order.objects.get().product == self.product

    def test_nothing_is_left_of_another_test(self) -> None:
        assert not Order.objects.exists()


class StockTests(TransactionTestCase):
    def test_stock(self) -> None:
        with transaction.atomic():
            product = Product.objects.create(name="tea", stock=5)
        Product.objects.filter(pk=product.pk).update(stock=4)
        assert Product.objects.get(name="tea").stock == 4
