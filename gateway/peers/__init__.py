"""The HTTP calls of other gateways, for whoever comes from one and changes only an address.

`kannel.py` and `jasmin.py` turn their parameters into our requests and our results into their
answers; `callbacks.py` makes the calls that they make when a message's status changes. All of it
decides; who listens is `gateway/api/peers.py`, and the callbacks go through the same outbox as
webhooks.
"""
