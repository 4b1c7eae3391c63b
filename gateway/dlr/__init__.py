"""Delivery receipts: reading what carriers write, writing what customers read.

Pure. Matching a receipt with its segment is the store's, what it changes `settling.py`'s.
"""
