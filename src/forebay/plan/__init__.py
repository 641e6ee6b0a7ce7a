"""The connection math: how many database connections clients need, and how long they wait. Pure."""
