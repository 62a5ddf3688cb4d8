"""How fast it is: `python -m tests.bench` or `make bench`. Figures of one run, no pass or fail.

Seconds of different machines cannot be compared; the columns of one table can. Processor seconds
(`cpu`) bear other work on the machine better than those by the clock (`wall`).
"""
