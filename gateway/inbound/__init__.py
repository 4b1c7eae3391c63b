"""Messages from phones: put together, read, given to whom the number belongs.

Files that decide: `parts` (what one deliver_sm brings), `content` (what its octets say), `numbers`
(whose it is), `events` (what its owner is told), `book` (all of it together). What waits: `desk`.
"""
