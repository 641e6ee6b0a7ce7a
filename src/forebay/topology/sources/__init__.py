"""Where the servers of a cluster are looked for. None of them decides which one writes."""
