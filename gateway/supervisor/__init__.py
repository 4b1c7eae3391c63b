"""Several nodes on one machine as one process: `gateway serve --nodes N`.

    upkeep ◆   which of them run, and what becomes of one that ends
    run        what they share, made once; then signals and processes, until all have ended
    signals    signals as a file that can be waited for
    children   a node's process from outside       member   the same from inside
    orders     what the two say to each other

A node among these is a node like any other (`gateway/nodes/`), but that it shares its ports with
the others (`gateway/listening.py`). Nothing but starting and stopping is decided here.
"""
