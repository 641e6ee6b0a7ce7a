"""Its tables."""

from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=50, unique=True)
    stock = models.IntegerField(default=0)


class Order(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    quantity = models.IntegerField()
    buyer = models.CharField(max_length=50)
    note = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
