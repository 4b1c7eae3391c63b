"""Customers' webhooks: signed, batched, in order, retried, and never into our own network.

What decides: `sign`, `answers`, `backoff`, `targets`, `lineup`. What waits: `connect`, `webhooks`.
"""
