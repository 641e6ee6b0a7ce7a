"""What clients of the admin database may ask, and what they are answered: PgBouncer's console."""
