"""Failover in a virtual world: the production decisions (`forebay.topology.Cluster`, and what
becomes of clients) before servers, a network, clients and a clock that are played.

    world      the clock, chance, and the log whose hash tells two runs apart
    network    connections, with delay, loss, cuts in one direction, hosts that vanish
    postgres   servers that replicate synchronously, and die as PostgreSQL dies
    operator   what keeps a cluster running: promotes, restarts, rewinds (as Patroni would)
    control    what drives the Cluster: probes over control connections
    plane      what obeys its verdicts: holds, cuts, opens, and tells clients what is true
    clients    what clients do, and believe of it
    observer   what must hold, watched from outside of all that
    faults     what goes wrong, planned by a seed
    run        all of it together;  shrink: fewer faults that fail alike
"""
