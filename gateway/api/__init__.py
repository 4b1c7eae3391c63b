"""The HTTP API: what arrives over HTTP becomes values, what is decided becomes answers.

`app.build_api` makes the ASGI application, `serve.HttpServer` listens for it. What the API asks of
the rest of the gateway stands in `ports.py`; it knows no store, no carrier and no price.
"""
