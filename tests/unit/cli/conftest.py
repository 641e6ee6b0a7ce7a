"""What tests of commands share."""

from tests.unit.control.conftest import place

__all__ = ["place"]
