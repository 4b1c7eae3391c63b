"""The parts of the load generator; `bench/load.py` joins them.

messages    what is sent, as bytes                          pure
backlog     which request goes when                         pure
answers     what an answer says of each message             pure
figures     counts, latencies, the result                   pure
http        one keep-alive connection                       asyncio
smpp        a customer's binds, their windows kept full      asyncio
driver      all connections, until everything is answered   asyncio
finals      waiting until every message is final            asyncio
machine     what the figures were measured on
"""
