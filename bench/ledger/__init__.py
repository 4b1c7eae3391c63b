"""A random life of many accounts, with refusals, refunds and kills, and whether the money adds up.

What customers were told is added up here, by itself; what the gateway's audit, statements and
balances say must be the same, to the micro-unit.
"""
