"""How the gateway throttles, measured on a real one and drawn.

carrier   a simulated carrier in this process that notes every submission      bench/smsc.py
bed       a gateway bound to it, and the load on it
rate      a rate held against a carrier that refuses what is above its own
lanes     one-time passwords through a flood of marketing
chart     lines, steps and bars over time as an SVG                            pure
"""
