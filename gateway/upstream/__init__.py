"""Customers who bind to the gateway over SMPP: who is let in, what they submit, what goes up.

Files that decide: `terms`, `admission`, `content`, `orders`, `times`, `statuses`, `ids`,
`receipts`, `mailbox`. Files that wait: `roster`, `logins`, `bind`, `errands`, `postman`, `server`.
"""
