"""A start with very many things waiting: how soon it serves, what memory it takes, how they leave.

start       a gateway from its first instruction to its first submission, and its peak of memory
fill        what waits, written by PostgreSQL itself
kinds       messages, scheduled messages, events for webhooks, receipts for customers, parked ones
"""
