"""The parts of the simulated carrier; `bench/smsc.py` joins them.

script    what it is told to do                     pure
submit    what is read of a submit_sm               pure
identity  which submissions are one message         pure
fate      what becomes of a message                 pure
receipt   how that is reported                      pure
wheel     what falls due when                       pure
limits    rate and burst, the highest rate seen     pure
tally     what is counted                           pure
mailbox   which bind gets which delivery            pure
session   one bind on one connection                asyncio
phones    messages that phones send                 pure
control   counts and commands over TCP              asyncio

`bench/stream.py` cuts what comes into PDUs, for the load as well.
"""
