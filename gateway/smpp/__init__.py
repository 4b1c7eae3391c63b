"""SMPP 3.4: the codec, the sessions and the binds to carriers.

Everything but `client.py` decides and does no I/O. What a receipt says is read in `gateway/dlr/`,
what a text becomes on the wire is chosen in `gateway/text/`.
"""
