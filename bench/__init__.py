"""Side by side, in one run: straight to the database, through PgBouncer, through Forebay."""
