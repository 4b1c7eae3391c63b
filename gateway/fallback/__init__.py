"""Email for messages that did not reach their phone: who gets one, when, and what it says.

A message's own `fallback`, or its account's rule, is decided when the message is taken in and
stored with it (`decide.py`, `terms.py`, `template.py`). An event that ends the message badly makes
the email due in the event's own transaction; a time makes it due by itself. `sender.py` then asks
once more whether it is wanted, has it written (`letter.py`), and hands it to a mail server
(`smtp.py`); `outcome.py` says what an answer means.

Inbound email is not turned into messages.
"""
