"""Hostile input for everything that reads octets of a peer or texts of a client.

A *target* is one check with an invariant, its docstring's first line; a *case* is the octets that
it reads. `engine.py` makes cases, `coverage.py` sees which of them reach new code, `corpus.py`
keeps those, `shrink.py` makes a finding small. The same targets run under atheris where that is
installed (`guided.py`).
"""
