"""The settings under which our own PostgreSQL runs, each with its reason.

Not here: where they are written and when (`embedded.py`); a PostgreSQL that the operator brings
has the operator's settings.
"""

from __future__ import annotations

from pathlib import Path

LOCAL_SETTINGS = "# Your own settings: they win over gateway.conf and are never overwritten.\n"


def render_settings(socket_dir: Path) -> str:
    """Return the text of gateway.conf; `socket_dir` holds nothing that needs quoting."""
    return _SETTINGS.format(socket_dir=socket_dir)


_SETTINGS = """\
# Written by the gateway at every start; put your own settings into local.conf, which wins.

# Only the gateway connects, over this socket in a folder that nobody else may enter.
listen_addresses = ''
port = 5432
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700

# An answer 202 means "on disk". These three are PostgreSQL's defaults and are the promise.
fsync = on
synchronous_commit = on
full_page_writes = on

# The newest partitions' indexes stay in memory; the rest is the page cache's.
shared_buffers = 256MB
# The largest node.database_connections, its two writers, and room for a second node and psql.
max_connections = 250
# A group commit is up to a few MB of WAL; the default (1/32 of shared_buffers) would split it.
wal_buffers = 16MB

# After a checkpoint the first change of each page writes the whole page into the WAL. Rare and
# slow checkpoints keep that small; a crash then replays at most this much.
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
wal_compression = pglz

# One server, no replica: the WAL carries what recovery needs and nothing for others.
wal_level = minimal
max_wal_senders = 0

# Statements are short and the cores belong to the two writers. Parallel workers would also want
# /dev/shm, of which a container has 64 MB.
jit = off
max_parallel_workers_per_gather = 0

# Tables of messages only grow and are dropped whole: vacuum for their visibility map now and
# then, but look at the small tables that are updated (balances, outbox) often and early.
autovacuum_naptime = 20s
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_insert_threshold = 100000
autovacuum_vacuum_insert_scale_factor = 0.2

# A week of logs, a file a weekday. Terse, because DETAIL and CONTEXT quote rows: people's numbers
# and texts. For the same reason no statement and no parameter is logged.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_file_mode = 0600
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
log_lock_waits = on
lc_messages = 'C'
timezone = 'UTC'
"""
