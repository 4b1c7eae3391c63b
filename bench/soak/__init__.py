"""A steady load for an hour, and what of the gateway grows meanwhile.

scene       the running parts: customers over HTTP, SMPP and webhooks; looked at every 10 seconds
watch       looking: memory, tables, handles; and whether the machine itself stood still
judge       whether something grows, from the samples; decides and does nothing else
picture     the samples as a figure
"""
