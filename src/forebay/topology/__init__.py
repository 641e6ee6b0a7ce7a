"""Which database servers there are, which one of them writes, and when to hold and switch.

Imports `protocol`, `net` and `config`; knows neither node nor worker. What is decided stands in
plain classes that take time as an argument; `prober` and `monitor` are the thin code that waits.
"""
