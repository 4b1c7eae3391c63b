"""One release follows another on the same database under load, and goes back: `make upgrade`.

releases   what can be run: the last release, the present code, one that is to come
rolling    gateways of two of them, a carrier, a customer, and what came of it
"""
