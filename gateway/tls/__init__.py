"""TLS, in both directions: from PEM files to connections.

`files.py` reads them and says what is wrong, `contexts.py` makes contexts of them, `keeper.py`
makes them again when the files change, `listener.py` accepts connections and shakes hands.
"""
