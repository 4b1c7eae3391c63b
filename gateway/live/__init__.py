"""Settings and carriers as they change while the node runs.

`difference.py`, `effect.py` and `reach.py` decide what is different, when it takes effect and who
would lose by it; the rest makes it so.
"""
