"""Applications as their authors write them, each with a driver and its pool at their defaults.

One program for each language; ``program DRIVER`` reads lines of JSON. The first says where the
database is, which number its first writer has, and how many writers and resting connections there
are. It opens the resting connections, runs a prepared statement on each more often than any driver
waits before it keeps one, and has the writers write. Then it obeys: "rest" uses the resting
connections again, "end" lets each writer end what it is at.

What it writes, a line each: what became of a write, {"client", "seq", "kind", "at", "class",
"sqlstate", "message", "took_s"}, where ``at`` is "" or the step that failed (connect, begin,
statement, commit); what it found when it used its resting connections, {"rest": [{"id", "zone",
"place", "kept"}]} or {"error"} in place of one; {"end": true}.
"""
