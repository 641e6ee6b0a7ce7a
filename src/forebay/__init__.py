"""Forebay: a connection pooling proxy for PostgreSQL."""

__version__ = "0.1.0"
