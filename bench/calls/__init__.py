"""What the hot path costs in calls and SQL statements: figures that a busy machine does not move.

A real gateway in this process, with a real PostgreSQL behind a tap that counts statements; a
carrier and customers in a thread of their own, whose calls are not counted. Messages come in
bursts, each waited for to its last receipt, so that what is committed together hardly varies.

counting    calls of functions, by the room they are in
tap         statements on their way to PostgreSQL
outside     the carrier and the customers, in their thread
run         the whole, from settings to figures
"""
