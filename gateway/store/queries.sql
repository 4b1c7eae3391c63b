-- Everything that is asked of the store except by its two hot writers.
--
-- Rules: a query that a client can cause names its account; it touches few partitions and a
-- bounded number of rows; what may run long is marked so and runs in maintenance or audit only.

-- ── Accounts and keys (accounts.py) ─────────────────────────────────────────────────────────

-- name: insert_account
-- The account with its two money rows, so that no writer ever has to ask whether they exist.
WITH account AS (
    INSERT INTO accounts (name, currency, default_sender, segments_max, submit_per_s,
                          webhook_url, webhook_secret, active, plan, bill)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $11)
    RETURNING id
),
balance AS (
    INSERT INTO balances (account_id, floor_micros) SELECT id, $9::bigint FROM account
),
posting AS (
    INSERT INTO postings (account_id) SELECT id FROM account
)
SELECT id FROM account

-- name: update_account
-- NULL leaves a column as it is.
UPDATE accounts SET
    default_sender = coalesce($2, default_sender),
    segments_max   = coalesce($3, segments_max),
    submit_per_s   = coalesce($4, submit_per_s),
    webhook_url    = coalesce($5, webhook_url),
    webhook_secret = coalesce($6, webhook_secret),
    active         = coalesce($7, active),
    plan           = coalesce($8, plan),
    bill           = coalesce($9, bill)
WHERE id = $1

-- name: update_floor
-- A floor above what is available would be broken the moment it is set.
UPDATE balances SET floor_micros = $2
WHERE account_id = $1 AND available_micros >= $2

-- name: fetch_accounts
-- All accounts, or the one with this id or this name.
SELECT a.id, a.name, a.currency, a.plan, a.bill, a.default_sender, a.segments_max,
       a.submit_per_s, a.webhook_url, a.webhook_secret, a.active, a.fallback, a.created_at,
       b.floor_micros, b.available_micros, b.deposited_micros, p.posted_micros, p.refunded_micros
FROM accounts a
JOIN balances b ON b.account_id = a.id
JOIN postings p ON p.account_id = a.id
WHERE ($1::int IS NULL OR a.id = $1) AND ($2::text IS NULL OR a.name = $2)
ORDER BY a.id

-- name: save_account_ceilings
-- NULL leaves a column as it is; -1 makes one NULL, which is what the settings say.
INSERT INTO account_ceilings AS c (account_id, segments_per_s, segments_burst,
                                   recipient_per_minute, recipient_per_hour)
VALUES ($1, coalesce($2::float8, 0), coalesce($3::int, 1), nullif($4::int, -1), nullif($5::int, -1))
ON CONFLICT (account_id) DO UPDATE SET
    segments_per_s = coalesce($2, c.segments_per_s),
    segments_burst = coalesce($3, c.segments_burst),
    recipient_per_minute = CASE WHEN $4::int IS NULL THEN c.recipient_per_minute
                                ELSE nullif($4, -1) END,
    recipient_per_hour = CASE WHEN $5::int IS NULL THEN c.recipient_per_hour
                              ELSE nullif($5, -1) END
RETURNING account_id, segments_per_s, segments_burst, recipient_per_minute, recipient_per_hour

-- name: fetch_account_ceilings
SELECT account_id, segments_per_s, segments_burst, recipient_per_minute, recipient_per_hour
FROM account_ceilings

-- name: insert_key
INSERT INTO api_keys (hash, account_id, prefix, label, expires_at, scopes, networks)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: lock_key
SELECT label, expires_at, scopes, networks FROM api_keys
WHERE account_id = $1 AND prefix = $2 AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now())
FOR UPDATE

-- name: expire_key
UPDATE api_keys SET expires_at = least(coalesce(expires_at, 'infinity'), $3)
WHERE account_id = $1 AND prefix = $2
RETURNING expires_at

-- name: revoke_key
UPDATE api_keys SET revoked_at = now()
WHERE account_id = $1 AND prefix = $2 AND revoked_at IS NULL

-- name: fetch_keys
SELECT prefix, label, created_at, expires_at, revoked_at, scopes, networks
FROM api_keys WHERE account_id = $1 ORDER BY created_at, prefix

-- name: fetch_account_of_key
SELECT k.hash, a.id, a.name, a.currency, a.plan, a.bill, a.default_sender, a.segments_max,
       a.submit_per_s, a.webhook_url, a.webhook_secret, a.active, a.fallback, b.floor_micros,
       k.scopes, k.networks
FROM api_keys k
JOIN accounts a ON a.id = k.account_id
JOIN balances b ON b.account_id = a.id
WHERE k.hash = $1 AND k.revoked_at IS NULL AND a.active
  AND (k.expires_at IS NULL OR k.expires_at > now())

-- name: insert_deposit
-- Waits for a concurrent deposit with the same key, then inserts nothing.
INSERT INTO deposits (account_id, amount_micros, reason, author, key)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id, key) DO NOTHING
RETURNING id

-- name: fetch_deposit_by_key
SELECT d.amount_micros, b.available_micros
FROM deposits d JOIN balances b USING (account_id)
WHERE d.account_id = $1 AND d.key = $2

-- name: fetch_deposits
SELECT created_at, amount_micros, reason, author, coalesce(key, '') AS key
FROM deposits WHERE account_id = $1 ORDER BY id DESC LIMIT $2

-- name: apply_deposit
-- A correction downwards stops at the floor, like any reservation.
UPDATE balances SET
    available_micros = available_micros + $2::bigint,
    deposited_micros = deposited_micros + $2::bigint
WHERE account_id = $1 AND ($2::bigint > 0 OR available_micros + $2::bigint >= floor_micros)
RETURNING available_micros

-- ── Reading (reader.py, search.py) ──────────────────────────────────────────────────────────
--
-- The last event: a final status never goes back, so it outranks time: a receipt that overtook
-- its submit_sm_resp carries the earlier time of its arrival.

-- name: fetch_carrier_names
SELECT id, name FROM carriers

-- name: fetch_currency
SELECT currency FROM accounts WHERE id = $1

-- name: fetch_message
SELECT id, carrier_id, lane, sender, recipient, country, body, data, udh, encoding, segments,
       price_micros, client_ref, tag, send_at, expires_at, tlvs
FROM messages WHERE account_id = $1 AND id = $2

-- name: fetch_events
SELECT at, kind, segment, segment_status, status, carrier_id, carrier_message_id, code, error,
       posted_micros, voided_micros, refunded_micros
FROM events WHERE account_id = $1 AND message_id = $2

-- name: fetch_scan_end
-- The id at which a filtered page stops looking: filters without an index read at most this many
-- messages a page, whatever they find. The lower bound stands outside: with both, a plan made once
-- takes the range for a small one, and reads and sorts all of it.
SELECT id FROM (
    SELECT id FROM messages WHERE account_id = $1 AND id < $2 ORDER BY id DESC OFFSET $4 LIMIT 1
) end_of_scan
WHERE id >= $3

-- name: fetch_status_scan_end
-- As fetch_scan_end, along the index of the rare final statuses, which `status + 0 > 10` names; an
-- event a segment may have one.
SELECT message_id FROM (
    SELECT DISTINCT message_id FROM events
    WHERE account_id = $1 AND status = $5 AND status + 0 > 10 AND message_id < $2
    ORDER BY message_id DESC OFFSET $4 LIMIT 1
) end_of_scan
WHERE message_id >= $3

-- name: fetch_recipient_scan_end
-- As fetch_scan_end, along closed days' indexes of recipients: only they have one, so that both
-- bounds stand inside and keep all other days out.
SELECT id FROM messages
WHERE account_id = $1 AND recipient = $5 COLLATE "C" AND id < $2 AND id >= $3
ORDER BY id DESC OFFSET $4 LIMIT 1

-- name: fetch_page
-- Newest first down the primary key, for what each message answers. Filters that are NULL hold
-- always, and others are asked of a single id: the limit stands inside, so that events are looked
-- for of a page's messages only, however it is planned. $8 selects scheduled (true) or already due
-- (false) messages.
SELECT m.id, m.lane, m.sender, m.recipient, m.country, m.body, m.data, m.udh, m.encoding,
       m.segments, m.price_micros, m.client_ref, m.tag, m.send_at, m.expires_at,
       coalesce(e.status, 1::smallint) AS status, coalesce(e.carrier_id, m.carrier_id) AS carrier_id
FROM (
    SELECT * FROM messages WHERE account_id = $1 AND id < $2 AND id >= $3
    ORDER BY id DESC LIMIT $10
) m
LEFT JOIN LATERAL (
    SELECT status, carrier_id FROM events
    WHERE account_id = $1 AND message_id = m.id
    ORDER BY status_rank(status) DESC, at DESC, status DESC LIMIT 1
) e ON true
WHERE ($4::text IS NULL OR m.recipient = $4)
  AND ($5::text IS NULL OR m.client_ref = $5)
  AND ($6::text IS NULL OR m.tag = $6)
  AND ($7::smallint IS NULL OR coalesce(e.status, 1::smallint) = $7)
  AND ($8::boolean IS NULL OR coalesce(m.send_at > $9, false) = $8)
ORDER BY m.id DESC

-- name: fetch_scanned_page
-- fetch_page for what few messages of a range say of themselves. OFFSET 0 has the range read as it
-- lies on the disk: the system reads ahead of that, but of nothing that is read backwards (5,000
-- messages of a table larger than memory: 14 ms backwards, 5 so).
SELECT m.id, m.lane, m.sender, m.recipient, m.country, m.body, m.data, m.udh, m.encoding,
       m.segments, m.price_micros, m.client_ref, m.tag, m.send_at, m.expires_at,
       coalesce(e.status, 1::smallint) AS status, coalesce(e.carrier_id, m.carrier_id) AS carrier_id
FROM (
    SELECT * FROM (
        SELECT * FROM messages
        WHERE account_id = $1 AND id < $2 AND id >= $3
          AND ($4::text IS NULL OR recipient = $4)
          AND ($5::text IS NULL OR client_ref = $5)
          AND ($6::text IS NULL OR tag = $6)
        OFFSET 0
    ) found
    ORDER BY id DESC LIMIT $7
) m
LEFT JOIN LATERAL (
    SELECT status, carrier_id FROM events
    WHERE account_id = $1 AND message_id = m.id
    ORDER BY status_rank(status) DESC, at DESC, status DESC LIMIT 1
) e ON true
ORDER BY m.id DESC

-- name: fetch_state_page
-- fetch_page for a status that few messages of a range have: their events are read as a range too,
-- instead of looked for message by message. It begins with what all messages begin with, so that no
-- plan can join the two badly: planned once, both ranges are taken for a row or two.
SELECT m.id, m.lane, m.sender, m.recipient, m.country, m.body, m.data, m.udh, m.encoding,
       m.segments, m.price_micros, m.client_ref, m.tag, m.send_at, m.expires_at,
       s.status, coalesce(s.carrier_id, m.carrier_id) AS carrier_id
FROM (
    SELECT DISTINCT ON (id) id, status, carrier_id FROM (
        SELECT id, 1::smallint AS status, NULL::smallint AS carrier_id, '-infinity'::float8 AS at
        FROM messages WHERE account_id = $1 AND id < $2 AND id >= $3
        UNION ALL
        SELECT message_id, status, carrier_id, at
        FROM events WHERE account_id = $1 AND message_id < $2 AND message_id >= $3
    ) states
    ORDER BY id DESC, status_rank(status) DESC, at DESC, status DESC
) s
CROSS JOIN LATERAL (
    SELECT * FROM messages WHERE account_id = $1 AND id = s.id OFFSET 0
) m
WHERE s.status = $7
  AND ($4::text IS NULL OR m.recipient = $4)
  AND ($5::text IS NULL OR m.client_ref = $5)
  AND ($6::text IS NULL OR m.tag = $6)
  AND ($8::boolean IS NULL OR coalesce(m.send_at > $9, false) = $8)
ORDER BY s.id DESC LIMIT $10

-- name: fetch_status_page
-- fetch_page for a rare final status, whose index has all that is asked here of the event that says
-- it. A message has it if no event has a status of higher rank: those are in the same index, except
-- for delivered, to which only unknown gives way. So of events next to no row is read, and those of
-- messages in the order of ids, as in fetch_scanned_page.
WITH candidates AS MATERIALIZED (
    SELECT DISTINCT ON (message_id) message_id, status, carrier_id FROM events
    WHERE account_id = $1 AND status = $7 AND status + 0 > 10
      AND message_id < $2 AND message_id >= $3
    ORDER BY message_id, at DESC
)
SELECT m.id, m.lane, m.sender, m.recipient, m.country, m.body, m.data, m.udh, m.encoding,
       m.segments, m.price_micros, m.client_ref, m.tag, m.send_at, m.expires_at,
       c.status, coalesce(c.carrier_id, m.carrier_id) AS carrier_id
FROM candidates c
CROSS JOIN LATERAL (
    SELECT * FROM messages WHERE account_id = $1 AND id = c.message_id OFFSET 0
) m
WHERE NOT EXISTS (
    SELECT FROM unnest('{11,12,13,14,15}'::smallint[]) AS higher(status)
    WHERE status_rank(higher.status) > status_rank($7) AND EXISTS (
        SELECT FROM events
        WHERE account_id = $1 AND status = higher.status AND status + 0 > 10
          AND message_id = c.message_id
        OFFSET 0))
  AND ($7 <> 16 OR NOT EXISTS (
    SELECT FROM events WHERE account_id = $1 AND message_id = c.message_id AND status = 10
    OFFSET 0))
  AND ($4::text IS NULL OR m.recipient = $4)
  AND ($5::text IS NULL OR m.client_ref = $5)
  AND ($6::text IS NULL OR m.tag = $6)
ORDER BY m.id DESC LIMIT $8

-- name: fetch_recipient_page
-- fetch_page along closed days' indexes of recipients (recipient_index.py), whose order is by bytes.
SELECT m.id, m.lane, m.sender, m.recipient, m.country, m.body, m.data, m.udh, m.encoding,
       m.segments, m.price_micros, m.client_ref, m.tag, m.send_at, m.expires_at,
       coalesce(e.status, 1::smallint) AS status, coalesce(e.carrier_id, m.carrier_id) AS carrier_id
FROM messages m
LEFT JOIN LATERAL (
    SELECT status, carrier_id FROM events
    WHERE account_id = m.account_id AND message_id = m.id
    ORDER BY status_rank(status) DESC, at DESC, status DESC LIMIT 1
) e ON true
WHERE m.account_id = $1 AND m.id < $2 AND m.id >= $3 AND m.recipient = $4 COLLATE "C"
  AND ($5::text IS NULL OR m.client_ref = $5)
  AND ($6::text IS NULL OR m.tag = $6)
  AND ($7::smallint IS NULL OR coalesce(e.status, 1::smallint) = $7)
  AND ($8::boolean IS NULL OR coalesce(m.send_at > $9, false) = $8)
ORDER BY m.id DESC LIMIT $10

-- name: fetch_keyed_message
SELECT message_id FROM idempotency WHERE account_id = $1 AND key = $2

-- name: fetch_balance
SELECT b.available_micros, b.deposited_micros, b.floor_micros, p.posted_micros, p.refunded_micros
FROM balances b JOIN postings p USING (account_id) WHERE b.account_id = $1

-- name: fetch_spendable
SELECT available_micros - floor_micros FROM balances WHERE account_id = $1

-- name: find_owner
-- For operators only: a look into each account's key, because ids have no index of their own.
SELECT a.id FROM accounts a
WHERE EXISTS (SELECT FROM messages m WHERE m.account_id = a.id AND m.id = $1)

-- ── Partitions (partitions.py): these run in maintenance, and may take seconds ──────────────

-- name: fetch_partitions
-- The days that have a partition of messages or of events, as YYYYMMDD.
SELECT DISTINCT right(c.relname, 8) AS day
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('messages'::regclass, 'events'::regclass) AND c.relname ~ '_p\d{8}$'
ORDER BY day

-- name: fetch_recipient_days
-- The days that have a partition of messages, as YYYYMMDD, and whether that has an index as $1 says:
-- by what it is, since a day that was written anew has its indexes under other names.
SELECT right(c.relname, 8) AS day, EXISTS (
    SELECT FROM pg_index x
    WHERE x.indrelid = c.oid AND x.indisvalid
      AND split_part(pg_get_indexdef(x.indexrelid), ' USING btree ', 2) = $1::text) AS indexed
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'messages'::regclass AND c.relname ~ '_p\d{8}$'
ORDER BY day

-- name: find_old_transaction
-- Whether a client's transaction is older than $1 seconds: a build would wait for its end.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL
      AND backend_type = 'client backend' AND xact_start < now() - make_interval(secs => $1))

-- name: find_open
-- The messages of a range of ids of which something may still be sent. Those below their queue's mark
-- are closed, so that only what lies above it is looked at, and what waited for an hour; of a day
-- that is long past that is next to nothing. Queues are found by steps over their index. Each OFFSET
-- 0 keeps a look at an index from becoming a join over all of the day, which took 0.3 s a million.
WITH RECURSIVE queues AS (
    (SELECT carrier_id, lane FROM messages WHERE id >= $1 AND id < $2 AND send_at IS NULL
     ORDER BY carrier_id, lane LIMIT 1)
    UNION ALL
    SELECT n.carrier_id, n.lane FROM queues q CROSS JOIN LATERAL (
        SELECT carrier_id, lane FROM messages
        WHERE id >= $1 AND id < $2 AND send_at IS NULL
          AND (carrier_id, lane) > (q.carrier_id, q.lane)
        ORDER BY carrier_id, lane LIMIT 1) n
),
open AS (
    SELECT q.carrier_id, q.lane, greatest($1, k.open_from) AS open_from
    FROM queues q LEFT JOIN queue_marks k USING (carrier_id, lane)
),
doubtful AS (
    SELECT m.account_id, m.id
    FROM open o
    CROSS JOIN LATERAL (
        SELECT account_id, id FROM messages
        WHERE carrier_id = o.carrier_id AND lane = o.lane AND send_at IS NULL
          AND id >= $1 AND id >= o.open_from AND id < $2
        ORDER BY id OFFSET 0) m
    WHERE o.open_from < $2
    UNION ALL
    SELECT account_id, id FROM messages WHERE id >= $1 AND id < $2 AND send_at IS NOT NULL
)
SELECT m.account_id, m.id FROM doubtful m
WHERE NOT EXISTS (
    SELECT FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id AND e.closes
      AND e.message_id >= $1 AND e.message_id < $2
    OFFSET 0)

-- name: retire_day
-- Keeps a day's sums of money; its messages are about to be dropped. They are counted up already,
-- and closed, so that what was not voided was posted: nothing of them is read.
INSERT INTO retired AS r
SELECT account_id, sum(priced)::bigint, sum(priced - voided)::bigint, sum(voided)::bigint,
       sum(refunded)::bigint
FROM (
    SELECT account_id, priced_micros AS priced, 0 AS voided, 0 AS refunded
    FROM usage_days WHERE day = $1
    UNION ALL
    SELECT account_id, 0, voided_micros, refunded_micros FROM usage_returned WHERE day = $1
) moved
GROUP BY account_id
ON CONFLICT (account_id) DO UPDATE SET
    priced_micros = r.priced_micros + excluded.priced_micros,
    posted_micros = r.posted_micros + excluded.posted_micros,
    voided_micros = r.voided_micros + excluded.voided_micros,
    refunded_micros = r.refunded_micros + excluded.refunded_micros

-- ── Maintenance (maintenance.py) ────────────────────────────────────────────────────────────

-- name: forget_idempotency
DELETE FROM idempotency
WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency WHERE message_id < $1 LIMIT $2))

-- name: forget_parked
DELETE FROM parked_receipts
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM parked_receipts WHERE given_up AND received_at < $1 LIMIT $2))

-- name: forget_inbound
DELETE FROM inbound_messages
WHERE id IN (SELECT id FROM inbound_messages WHERE id < $1 ORDER BY id LIMIT $2)

-- name: forget_inbound_parts
-- Parts that wait are never old: whatever time brings, they are handed over first.
DELETE FROM inbound_parts
WHERE id IN (SELECT id FROM inbound_parts
             WHERE id < $1 AND message_id IS NOT NULL ORDER BY id LIMIT $2)

-- name: forget_dead_notices
DELETE FROM outbox
WHERE id IN (SELECT id FROM outbox WHERE dead AND created_at < $1 LIMIT $2)

-- name: list_unmatched
SELECT coalesce(c.name, '') AS carrier, p.* FROM parked_receipts p
LEFT JOIN carriers c ON c.id = p.carrier_id
WHERE p.carrier_id = $1 OR $1::smallint IS NULL
ORDER BY p.id DESC LIMIT $2

-- name: count_unmatched
SELECT coalesce(c.name, '') AS carrier, count(*) FILTER (WHERE NOT p.given_up) AS parked,
       count(*) FILTER (WHERE p.given_up) AS unmatched
FROM parked_receipts p LEFT JOIN carriers c ON c.id = p.carrier_id
WHERE p.carrier_id = $1 OR $1::smallint IS NULL
GROUP BY c.name ORDER BY c.name

-- name: ask_unmatched_again
WITH following AS (
    SELECT id FROM parked_receipts
    WHERE id > $2 AND (carrier_id = $1 OR $1::smallint IS NULL) ORDER BY id LIMIT $3
),
asked AS (
    UPDATE parked_receipts p SET again = 1 FROM following f
    WHERE p.id = f.id AND p.again = 0
)
SELECT count(*) AS asked, max(id) AS last FROM following

-- name: count_asked_again
SELECT count(*) FILTER (WHERE again > 0) AS waiting, count(*) AS kept FROM parked_receipts
WHERE id <= $2 AND (carrier_id = $1 OR $1::smallint IS NULL)

-- name: fetch_receipts_to_pair
SELECT raw_id, recipient, received_at FROM parked_receipts
WHERE carrier_id = $1 AND raw_id <> '' AND recipient <> '' ORDER BY id DESC LIMIT $2

-- name: fetch_submissions_to_pair
-- $2 are the last digits of numbers, $3 and $4 bound the ids of messages.
SELECT m.recipient, e.carrier_message_id, e.at
FROM accounts a
CROSS JOIN LATERAL (
    SELECT account_id, id, recipient FROM messages
    WHERE account_id = a.id AND id >= $3 AND id < $4 AND right(recipient, $5) = ANY ($2::text[])
) m
JOIN events e ON e.account_id = m.account_id AND e.message_id = m.id
WHERE e.kind = 1 AND e.carrier_id = $1

-- name: fetch_carriers_asked_again
SELECT DISTINCT carrier_id FROM parked_receipts WHERE again > 0

-- name: take_asked_again
-- Those too that a killed process had taken.
UPDATE parked_receipts SET again = 2
WHERE id IN (
    SELECT id FROM parked_receipts WHERE again > 0 AND carrier_id = ANY($2::smallint[])
    ORDER BY id LIMIT $1)

-- name: fetch_taken_again
SELECT * FROM parked_receipts
WHERE again > 0 AND again = 2 AND carrier_id = ANY($1::smallint[]) ORDER BY id

-- name: settle_taken_again
UPDATE parked_receipts SET again = 0
WHERE again > 0 AND again = 2 AND carrier_id = ANY($1::smallint[])

-- name: lock_id_rules
-- Nodes that start together take turns: the first notes the rules, the others find them.
LOCK TABLE id_rules IN SHARE ROW EXCLUSIVE MODE

-- name: fetch_id_rules
SELECT since, response, receipt, strip_zeros FROM id_rules WHERE carrier_id = $1 ORDER BY since

-- name: add_id_rule
INSERT INTO id_rules (carrier_id, since, response, receipt, strip_zeros)
VALUES ($1, $2, $3, $4, $5)

-- name: give_up_parked
UPDATE parked_receipts SET given_up = true WHERE NOT given_up AND received_at < $1

-- name: find_unanswered
-- Messages that were closed in a span of time and have no final status: their carrier took them
-- and never said what became of them. Nearly all get their receipt within the same span, so one
-- pass over it leaves few to look up. Ids tell nothing of the span, as they only grow and clocks are
-- put back. `seen` is how many messages the span has; a row also when all is well.
WITH span AS MATERIALIZED (
    SELECT account_id, message_id, max(at) FILTER (WHERE closes) AS closed_at,
           bool_or(closes) AND NOT bool_or(status >= 10) AS doubtful
    FROM events WHERE at >= $1 AND at < $2
    GROUP BY account_id, message_id
)
SELECT s.seen, u.account_id, u.message_id, u.closed_at
FROM (SELECT count(*) AS seen FROM span) s
LEFT JOIN (
    SELECT account_id, message_id, closed_at FROM span c
    -- A scalar subquery, because NOT EXISTS tempts the planner to hash every event there is.
    WHERE doubtful AND (
        SELECT true FROM events e
        WHERE e.account_id = c.account_id AND e.message_id = c.message_id AND e.status >= 10
        LIMIT 1) IS NULL
    ORDER BY closed_at, message_id LIMIT $3
) u ON true

-- name: fetch_unanswered
SELECT m.account_id, m.id, m.sender, m.recipient, m.client_ref, m.tag, m.callback_url, m.segments,
       m.registered_delivery, m.group_id, m.tlvs, e.segment, e.segment_status, e.at, e.kind,
       e.carrier_id, e.carrier_message_id
FROM unnest($1::int[], $2::bigint[]) AS k(account_id, id)
JOIN messages m ON m.account_id = k.account_id AND m.id = k.id
JOIN events e ON e.account_id = k.account_id AND e.message_id = k.id
ORDER BY m.id, e.at

-- name: save_queue_marks
-- Not by a node whose claim has ended while it was frozen.
INSERT INTO queue_marks SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::bigint[])
WHERE $4::int IS NULL OR EXISTS (
    SELECT FROM node_leases WHERE node = $4 AND epoch = $5 AND claimed)
ON CONFLICT (carrier_id, lane) DO UPDATE SET open_from = excluded.open_from

-- name: load_queue_marks
SELECT carrier_id, lane, open_from FROM queue_marks

-- name: save_sweep_mark
INSERT INTO sweep_marks VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET seen_to = excluded.seen_to

-- name: load_sweep_mark
SELECT seen_to FROM sweep_marks WHERE name = $1

-- ── The clock (stretches.py) ────────────────────────────────────────────────────────────────

-- name: load_clock_stretches
SELECT begun_s, seen_s, ahead_s, noted_s FROM clock_stretches
WHERE node = (SELECT node FROM clock_stretches ORDER BY kept_at DESC LIMIT 1) ORDER BY begun_s

-- name: save_clock_stretches
-- All that is still known; anything else that was is forgotten.
WITH forgotten AS (
    DELETE FROM clock_stretches WHERE node = $1 AND begun_s <> ALL ($2::float8[])
)
INSERT INTO clock_stretches (node, begun_s, seen_s, ahead_s, noted_s)
SELECT $1, s.*, $5 FROM unnest($2::float8[], $3::float8[], $4::float8[]) s
ON CONFLICT (node, begun_s) DO UPDATE SET noted_s = excluded.noted_s, seen_s = excluded.seen_s,
    ahead_s = excluded.ahead_s, kept_at = now()

-- ── Outbox (outbox.py) ──────────────────────────────────────────────────────────────────────

-- name: claim_due
-- A new one is due at 0, at once, whatever the clock showed when it happened.
-- Takes the lowest ids that are due, for a lease: whoever dies with them loses them to the next
-- claim. Rows without any address (the account has taken its webhook away since) come along, to
-- be deleted. An array, because joining what is due makes the planner read the whole table
-- (650,000 rows: 360 ms; so: 17).
WITH claimed AS (
    UPDATE outbox SET next_at = $3 WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE NOT dead AND next_at <= $1
        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING id, account_id, url, body, coalesce(retried_from, created_at) AS created_at, attempts
)
SELECT c.id, c.account_id, c.url, c.body, c.created_at, c.attempts,
       a.webhook_url, a.webhook_secret,
       CASE WHEN a.webhook_old_until > $1 THEN a.webhook_secret_old ELSE '' END AS old_secret
FROM claimed c JOIN accounts a ON a.id = c.account_id
ORDER BY c.id

-- name: record_delivered
DELETE FROM outbox WHERE id = ANY ($1::bigint[])

-- name: record_failed
-- An event without a next time is dead: it stays, with its error, for people to look at.
UPDATE outbox o SET
    attempts = o.attempts + 1, error = f.error,
    dead = f.next_at IS NULL, next_at = coalesce(f.next_at, o.next_at)
FROM unnest($1::bigint[], $2::float8[], $3::text[]) AS f(id, next_at, error)
WHERE o.id = f.id

-- name: bring_notices_forward
UPDATE outbox SET next_at = greatest($1, next_at - $2) WHERE id = ANY (ARRAY(
    SELECT id FROM outbox WHERE NOT dead AND next_at > $1 AND id > $3
    ORDER BY id LIMIT $4 FOR UPDATE))
RETURNING id

-- name: fetch_dead_events
-- Newest first down the index of what was given up. Filters that are NULL hold always.
SELECT id, message_id, url, body, created_at, attempts, error FROM outbox
WHERE dead AND account_id = $1 AND id < $2
  AND ($3::float8 IS NULL OR created_at >= $3) AND ($4::float8 IS NULL OR created_at < $4)
ORDER BY id DESC LIMIT $5

-- name: replay_dead_events
-- Some of an account's, oldest first: those named, or those since a time, or all.
UPDATE outbox SET dead = false, attempts = 0, next_at = $2, retried_from = $2
WHERE id = ANY (ARRAY(
    SELECT id FROM outbox
    WHERE dead AND account_id = $1 AND ($3::bigint[] IS NULL OR id = ANY ($3))
      AND ($4::float8 IS NULL OR created_at >= $4)
    ORDER BY id LIMIT $5 FOR UPDATE SKIP LOCKED))

-- name: rotate_webhook_secret
UPDATE accounts SET
    webhook_secret_old = webhook_secret, webhook_old_until = $3, webhook_secret = $2
WHERE id = $1 AND ($4 OR webhook_old_until <= $5)

-- name: end_webhook_rotation
UPDATE accounts SET webhook_secret_old = '', webhook_old_until = 0
WHERE id = $1 AND webhook_old_until > $2

-- name: fetch_webhook
SELECT a.webhook_url, a.webhook_secret, a.webhook_old_until,
       (SELECT count(*) FROM outbox o WHERE o.dead AND o.account_id = a.id) AS dead
FROM accounts a WHERE a.id = $1

-- name: put_notices
INSERT INTO outbox (account_id, message_id, url, body, created_at, next_at)
SELECT n.*, 0
FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::float8[])
    AS n(account_id, message_id, url, body, created_at)

-- name: count_waiting
SELECT count(*) FILTER (WHERE NOT dead) AS waiting, count(*) FILTER (WHERE dead) AS dead,
       min(created_at) FILTER (WHERE NOT dead) AS oldest
FROM outbox

-- ── Email fallbacks (fallbacks.py) ──────────────────────────────────────────────────────────

-- name: fetch_accounts_with_due_emails
-- Steps over the index from account to account, looking at the earliest of each.
WITH RECURSIVE first AS (
    (SELECT account_id, due_at FROM email_fallbacks WHERE state = 0 AND due_at IS NOT NULL
     ORDER BY account_id, due_at LIMIT 1)
    UNION ALL
    SELECT n.account_id, n.due_at FROM first f CROSS JOIN LATERAL (
        SELECT account_id, due_at FROM email_fallbacks
        WHERE state = 0 AND due_at IS NOT NULL AND account_id > f.account_id
        ORDER BY account_id, due_at LIMIT 1) n
)
SELECT account_id FROM first WHERE due_at <= $1

-- name: claim_emails
-- Takes what is due, some of each account, for a lease: whoever dies with it loses it to the next
-- claim. With each comes what is known of its message now, as readers see it.
WITH due AS (
    SELECT d.account_id, d.message_id FROM unnest($1::int[]) AS a(account_id)
    CROSS JOIN LATERAL (
        SELECT account_id, message_id FROM email_fallbacks
        WHERE account_id = a.account_id AND state = 0 AND due_at <= $2
        ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) d
),
claimed AS (
    UPDATE email_fallbacks f SET due_at = $4, claimed_at = coalesce(f.claimed_at, $2)
    FROM due d WHERE f.account_id = d.account_id AND f.message_id = d.message_id
    RETURNING f.account_id, f.message_id, f.content_id, f.address, f.triggers, f.claimed_at,
              f.attempts
)
SELECT c.*, t.subject, t.body_text, t.body_html, t.reply_to, a.name,
       a.webhook_url <> '' AS hooked, m.sender, m.recipient, m.country, m.body, m.client_ref,
       m.tag, m.callback_url, m.segments, coalesce(e.status, 1::smallint) AS status,
       coalesce(e.error, '') AS error
FROM claimed c
JOIN accounts a ON a.id = c.account_id
LEFT JOIN email_contents t ON t.account_id = c.account_id AND t.id = c.content_id
LEFT JOIN messages m ON m.account_id = c.account_id AND m.id = c.message_id
LEFT JOIN LATERAL (
    SELECT status, error FROM events
    WHERE account_id = c.account_id AND message_id = c.message_id
      AND kind <> 11 -- a refund has the status but not the error of what caused it
    ORDER BY status_rank(status) DESC, at DESC, status DESC LIMIT 1
) e ON true

-- name: settle_emails
-- The end of emails, and what their customers' endpoints are told of it.
WITH done AS (
    UPDATE email_fallbacks f
    SET state = d.state, reason = d.reason, settled_at = d.at, reply = d.reply, due_at = NULL
    FROM unnest($1::int[], $2::bigint[], $3::smallint[], $4::smallint[], $5::float8[], $6::text[])
        AS d(account_id, message_id, state, reason, at, reply)
    WHERE f.account_id = d.account_id AND f.message_id = d.message_id AND f.state = 0
    RETURNING f.account_id, f.message_id
)
INSERT INTO outbox (account_id, message_id, url, body, created_at, next_at)
SELECT n.*, 0
FROM unnest($7::int[], $8::bigint[], $9::text[], $10::text[], $11::float8[])
    AS n(account_id, message_id, url, body, created_at)
JOIN done USING (account_id, message_id)

-- name: bring_emails_forward
-- Of what nobody has begun to send: what was accepted or has failed by a clock that was ahead.
UPDATE email_fallbacks f SET due_at = greatest($1, due_at - $2)
WHERE state = 0 AND due_at > $1 AND (
    claimed_at IS NOT NULL
    OR extract(epoch FROM accepted_at(message_id)) > $1
    OR (due_at <= $1 + $2 AND EXISTS (
        SELECT FROM events e
        WHERE e.account_id = f.account_id AND e.message_id = f.message_id AND e.status > 10)))

-- name: put_off_emails
UPDATE email_fallbacks f
SET due_at = p.due_at, attempts = f.attempts + p.failed::int,
    reason = coalesce(p.reason, f.reason), reply = coalesce(p.reply, f.reply)
FROM unnest($1::int[], $2::bigint[], $3::float8[], $4::boolean[], $5::smallint[], $6::text[])
    AS p(account_id, message_id, due_at, failed, reason, reply)
WHERE f.account_id = p.account_id AND f.message_id = p.message_id AND f.state = 0

-- name: count_due_emails
SELECT count(*) AS due, min(coalesce(claimed_at, due_at)) AS oldest FROM email_fallbacks
WHERE state = 0 AND due_at IS NOT NULL AND (due_at <= $1 OR claimed_at IS NOT NULL)

-- name: fetch_fallback
SELECT address, triggers, due_at, attempts, state, reason, settled_at, reply
FROM email_fallbacks WHERE account_id = $1 AND message_id = $2

-- name: forget_fallbacks
DELETE FROM email_fallbacks
WHERE ctid = ANY (ARRAY(SELECT ctid FROM email_fallbacks WHERE message_id < $1 LIMIT $2))

-- name: forget_email_contents
DELETE FROM email_contents
WHERE ctid = ANY (ARRAY(SELECT ctid FROM email_contents WHERE created_at < $1 LIMIT $2))

-- name: save_fallback_rule
UPDATE accounts SET fallback = $2 WHERE id = $1

-- ── Messages from phones (inbound.py) ───────────────────────────────────────────────────────

-- name: fetch_waiting_parts
SELECT * FROM inbound_parts WHERE message_id IS NULL AND carrier_id = $1 ORDER BY id

-- name: fetch_last_handover
SELECT max(message_id) FROM inbound_parts

-- name: fetch_handed_over_parts
SELECT * FROM inbound_parts WHERE message_id >= $1 AND carrier_id = $2 ORDER BY message_id, sequence

-- name: fetch_last_inbound_id
SELECT greatest((SELECT max(id) FROM inbound_parts), (SELECT max(id) FROM inbound_messages))

-- name: fetch_numbers_version
SELECT version FROM numbers_version

-- name: fetch_owned_numbers
SELECT number, carrier_id, keyword, account_id FROM numbers

-- name: fetch_numbers
-- Of one account, or of all.
SELECT n.number, n.created_at, a.name AS account, c.name AS carrier
FROM numbers n
JOIN accounts a ON a.id = n.account_id
LEFT JOIN carriers c ON c.id = n.carrier_id
WHERE $1::int IS NULL OR n.account_id = $1
ORDER BY n.number, c.name NULLS FIRST

-- name: insert_number
INSERT INTO numbers (account_id, number, carrier_id) VALUES ($1, $2, $3)

-- name: delete_number
DELETE FROM numbers
WHERE number = $1 AND carrier_id IS NOT DISTINCT FROM $2::smallint AND keyword = ''
RETURNING number

-- name: find_carrier
SELECT id FROM carriers WHERE name = $1

-- name: fetch_inbound_scan_end
-- As fetch_scan_end: where a page whose filters have no index stops looking.
SELECT id FROM (
    SELECT id FROM inbound_messages
    WHERE account_id = $1 AND id < $2 ORDER BY id DESC OFFSET $4 LIMIT 1
) end_of_scan
WHERE id >= $3

-- name: fetch_inbound_page
-- Newest first down the primary key. Filters that are NULL hold always.
SELECT id, carrier_id, received_at, sender, recipient, udh, content, body, encoding, exact,
       segments, missing
FROM inbound_messages
WHERE account_id = $1 AND id < $2 AND id >= $3
  AND ($4::text IS NULL OR recipient = $4)
  AND ($5::text IS NULL OR sender = $5)
ORDER BY id DESC LIMIT $6

-- name: count_unowned
SELECT count(*) FROM inbound_messages WHERE account_id = $1

-- ── Operators (operators.py) ────────────────────────────────────────────────────────────────

-- name: fetch_operator_versions
SELECT name, version FROM operator_versions

-- name: fetch_operator_prefixes
SELECT prefix, mcc, mnc, name, country FROM operator_prefixes
WHERE prefix > $1 ORDER BY prefix LIMIT $2

-- name: fetch_ported_page
-- Packed as memory wants it: two values instead of two columns of many rows.
SELECT string_agg(int8send(number), ''::bytea ORDER BY number) AS numbers,
       string_agg(int4send(operator), ''::bytea ORDER BY number) AS codes
FROM (SELECT number, operator FROM ported_numbers WHERE number > $1 ORDER BY number LIMIT $2) page

-- name: fetch_prefixes_of_number
-- The prefixes that a number has, and all those of its operators' codes, for their names.
SELECT prefix, mcc, mnc, name, country FROM operator_prefixes
WHERE prefix = ANY($1::text[]) OR mcc || mnc = $2

-- name: find_ported
SELECT operator FROM ported_numbers WHERE number = $1

-- name: fetch_operators
-- Reads both tables whole: for people, not for the running gateway.
SELECT coalesce(p.code, o.code) AS code, coalesce(p.name, '') AS name,
       coalesce(p.country, '') AS country, coalesce(p.prefixes, 0) AS prefixes,
       coalesce(o.ported, 0) AS ported
FROM (
    SELECT mcc || mnc AS code, min(name) AS name, min(country) AS country, count(*) AS prefixes
    FROM operator_prefixes GROUP BY 1
) p
FULL JOIN (
    SELECT operator::text AS code, count(*) AS ported FROM ported_numbers GROUP BY 1
) o ON o.code = p.code
ORDER BY 1

-- ── Numbers that nobody could be reached by (ineligible.py) ─────────────────────────────────

-- name: add_ineligible
INSERT INTO ineligible
SELECT * FROM unnest($1::date[], $2::int[], $3::text[], $4::text[], $5::bigint[])
ON CONFLICT (day, account_id, country, reason)
DO UPDATE SET count = ineligible.count + excluded.count

-- name: fetch_ineligible
SELECT i.day, a.name AS account, i.country, i.reason, i.count
FROM ineligible i JOIN accounts a ON a.id = i.account_id
WHERE i.day >= $1 AND i.day < $2 AND ($3::int IS NULL OR i.account_id = $3)
ORDER BY i.day, a.name, i.count DESC, i.country, i.reason

-- name: sum_ineligible
-- Of one account, by $4.
SELECT CASE $4::text WHEN 'day' THEN day::text WHEN 'country' THEN country ELSE reason END AS key,
       sum(count)::bigint AS count
FROM ineligible WHERE account_id = $1 AND day >= $2 AND day <= $3
GROUP BY 1 ORDER BY CASE $4 WHEN 'day' THEN 0 ELSE -sum(count) END, 1

-- name: forget_ineligible
DELETE FROM ineligible WHERE day < $1

-- ── Audit (audit.py): reads every row once, in one snapshot ─────────────────────────────────

-- name: audit_accounts
SELECT a.id, a.name, b.account_id IS NULL OR p.account_id IS NULL AS unbalanced,
       coalesce(b.available_micros, 0) AS available, coalesce(b.deposited_micros, 0) AS deposited,
       coalesce(b.floor_micros, 0) AS floor, coalesce(p.posted_micros, 0) AS posted,
       coalesce(p.refunded_micros, 0) AS refunded,
       coalesce((SELECT sum(amount_micros) FROM deposits d WHERE d.account_id = a.id), 0)::bigint
           AS deposits,
       coalesce(r.priced_micros, 0) AS retired_priced,
       coalesce(r.posted_micros, 0) AS retired_posted,
       coalesce(r.voided_micros, 0) AS retired_voided,
       coalesce(r.refunded_micros, 0) AS retired_refunded
FROM accounts a
LEFT JOIN balances b ON b.account_id = a.id
LEFT JOIN postings p ON p.account_id = a.id
LEFT JOIN retired r ON r.account_id = a.id
ORDER BY a.id

-- name: audit_range
-- A range of ids (a day): each account's sums, those of ids below $4 apart, and the ids of up to $3
-- messages whose rows contradict each other; audit_messages tells how. A segment's and a message's
-- last state are the greatest (rank, at, status); recomputed is `lifecycle.aggregate`.
WITH segment AS (
    SELECT account_id, message_id, segment,
           sum(posted_micros)::bigint AS posted, sum(voided_micros)::bigint AS voided,
           coalesce(sum(refunded_micros), 0)::bigint AS refunded,
           count(*) FILTER (WHERE posted_micros <> 0 OR voided_micros <> 0) AS moves,
           count(*) FILTER (WHERE closes) AS closings,
           bool_or(kind = 4) AND NOT bool_or(kind = 1) AS unsubmitted,
           max(ARRAY[status_rank(segment_status), at, segment_status]) AS own,
           max(ARRAY[status_rank(status), at, status]) AS whole
    FROM events WHERE message_id >= $1 AND message_id < $2
    GROUP BY account_id, message_id, segment
),
happened AS (
    SELECT account_id, message_id, sum(posted)::bigint AS posted, sum(voided)::bigint AS voided,
           sum(refunded)::bigint AS refunded,
           bool_or(refunded <> 0 AND refunded <> posted) AS misrefunded,
           sum(closings) AS closings, bool_or(moves > 1) AS twice,
           bool_or(unsubmitted) AS unsubmitted, (max(whole))[3] AS status,
           count(*) FILTER (WHERE own[3] <> 1) AS moved_on,
           bool_or(own[3] = 3) AS submitted,
           min(array_position('{15,13,11,12,14,16,10}'::float8[], own[3])) AS worst
    FROM segment GROUP BY account_id, message_id
),
message AS (
    SELECT coalesce(m.account_id, h.account_id) AS account_id,
           coalesce(m.id, h.message_id) AS id, m.id IS NULL AS missing,
           coalesce(m.price_micros, 0) AS price, m.segments,
           coalesce(h.posted, 0) AS posted, coalesce(h.voided, 0) AS voided,
           coalesce(h.refunded, 0) AS refunded, coalesce(h.misrefunded, false) AS misrefunded,
           coalesce(h.closings, 0) AS closings, coalesce(h.twice, false) AS twice,
           coalesce(h.unsubmitted, false) AS unsubmitted, coalesce(h.status, 1) AS status,
           CASE WHEN coalesce(h.moved_on, 0) = 0 THEN 1 WHEN h.moved_on < m.segments THEN 2
                WHEN h.submitted THEN 3
                ELSE ('{15,13,11,12,14,16,10}'::float8[])[h.worst] END AS recomputed
    FROM (SELECT * FROM messages WHERE id >= $1 AND id < $2) m
    FULL JOIN happened h ON h.account_id = m.account_id AND h.message_id = m.id
)
SELECT account_id, count(*) FILTER (WHERE NOT missing) AS messages,
       count(*) FILTER (WHERE closings = 0) AS open_messages,
       count(*) FILTER (WHERE NOT missing AND id < $4) AS counted_messages,
       coalesce(sum(segments) FILTER (WHERE id < $4), 0)::bigint AS counted_segments,
       coalesce(sum(price) FILTER (WHERE id < $4), 0)::bigint AS counted_priced,
       sum(price)::bigint AS priced, sum(posted)::bigint AS posted, sum(voided)::bigint AS voided,
       sum(refunded)::bigint AS refunded,
       coalesce(sum(price - posted - voided) FILTER (WHERE closings = 0), 0)::bigint AS open,
       count(*) FILTER (WHERE bad) AS bad,
       (array_agg(id) FILTER (WHERE bad))[1:$3] AS suspects
FROM (
    SELECT *, missing OR twice OR misrefunded OR unsubmitted OR closings > 1 OR posted + voided > price
              OR (closings > 0 AND posted + voided <> price)
              OR (closings > 0) <> (status > 2) OR status <> recomputed AS bad
    FROM message
) judged
GROUP BY account_id

-- name: audit_messages
-- The rows of suspects, to say what is wrong with each.
SELECT k.account_id, k.message_id, m.price_micros AS price, m.segments,
       e.segment, e.kind, e.at, e.segment_status, e.status, e.closes,
       e.posted_micros AS posted, e.voided_micros AS voided,
       coalesce(e.refunded_micros, 0) AS refunded
FROM unnest($1::int[], $2::bigint[]) AS k(account_id, message_id)
LEFT JOIN messages m ON m.account_id = k.account_id AND m.id = k.message_id
LEFT JOIN events e ON e.account_id = k.account_id AND e.message_id = k.message_id
ORDER BY k.account_id, k.message_id, e.at

-- name: audit_references
-- Rows that name a message which should be there ($1: the first id that has not been dropped).
SELECT what, account_id, message_id FROM (
    SELECT 'outbox' AS what, account_id, message_id FROM outbox
    UNION ALL
    SELECT 'idempotency', account_id, message_id FROM idempotency
) r
WHERE message_id >= $1 AND NOT EXISTS (
    SELECT FROM messages m WHERE m.account_id = r.account_id AND m.id = r.message_id)
  AND NOT EXISTS (
    SELECT FROM inbound_messages i WHERE i.account_id = r.account_id AND i.id = r.message_id)
ORDER BY account_id, message_id LIMIT $2

-- name: audit_parked
SELECT count(*) FILTER (WHERE NOT given_up) AS waiting, count(*) FILTER (WHERE given_up) AS given_up
FROM parked_receipts

-- ── Customers' SMPP (upstream_accounts.py, upstream_reader.py) ──────────────────────────

-- name: save_smpp_account
-- NULL leaves a column as it is, or as its default where the account is new here; a number of 0
-- stands for the settings' default.
INSERT INTO smpp_accounts AS s (account_id, system_id, password, networks, binds_max, window_size,
                                rate_per_s, queue_max, id_form, time_zone, alphabet, ia5_alphabet,
                                lane)
SELECT $1, coalesce($2, e.system_id), coalesce($3, e.password),
       coalesce($4::text[], e.networks, '{}'),
       nullif(coalesce($5::int, e.binds_max), 0), nullif(coalesce($6::int, e.window_size), 0),
       coalesce($7, e.rate_per_s, 0), coalesce($8::int, e.queue_max, 0),
       coalesce($9, e.id_form, 'decimal'), coalesce($10, e.time_zone, 'UTC'),
       coalesce($11, e.alphabet, 'gsm7'), coalesce($12, e.ia5_alphabet, 'ascii'),
       coalesce($13::smallint, e.lane, 1::smallint)
FROM (SELECT) one LEFT JOIN smpp_accounts e ON e.account_id = $1
ON CONFLICT (account_id) DO UPDATE SET
    system_id = excluded.system_id, password = excluded.password, networks = excluded.networks,
    binds_max = excluded.binds_max, window_size = excluded.window_size,
    rate_per_s = excluded.rate_per_s, queue_max = excluded.queue_max,
    id_form = excluded.id_form, time_zone = excluded.time_zone, alphabet = excluded.alphabet,
    ia5_alphabet = excluded.ia5_alphabet, lane = excluded.lane, changed_at = now()

-- name: fetch_smpp_accounts
-- All of them with their accounts, or one account's.
SELECT s.system_id, s.password, s.networks, s.binds_max, s.window_size, s.rate_per_s, s.queue_max,
       s.id_form, s.time_zone, s.alphabet, s.ia5_alphabet, s.lane,
       a.id, a.name, a.currency, a.plan, a.bill, a.default_sender, a.segments_max,
       a.submit_per_s, a.webhook_url, a.webhook_secret, a.active, a.fallback, b.floor_micros
FROM smpp_accounts s
JOIN accounts a ON a.id = s.account_id
JOIN balances b ON b.account_id = a.id
WHERE $1::int IS NULL OR s.account_id = $1
ORDER BY a.id

-- name: remove_smpp_account
WITH waiting AS (DELETE FROM deliveries WHERE account_id = $1)
DELETE FROM smpp_accounts WHERE account_id = $1

-- name: fetch_deliveries
-- The next ones of an account after an id, in the order in which they go up.
SELECT id, message_id, body, created_at FROM deliveries
WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: measure_deliveries
-- How many wait by account, and the first id, read from the primary key alone; and whether a node
-- carries them.
SELECT d.*, EXISTS (
    SELECT FROM leases l JOIN node_leases n ON n.node = l.node AND n.epoch = l.epoch AND n.claimed
    WHERE l.name = 'receivers:' || d.account_id) AS carried
FROM (
    SELECT account_id, count(*) AS waiting, min(id) AS first_id FROM deliveries GROUP BY account_id
) d

-- name: forget_deliveries
-- What nobody fetched within the retention.
DELETE FROM deliveries
WHERE (account_id, id) IN (SELECT account_id, id FROM deliveries WHERE id < $1 LIMIT $2)

-- name: fetch_standing
-- What is known of a message now: a final status outranks time, as for readers.
SELECT coalesce(e.status, 1::smallint) AS status, e.at, coalesce(e.error, '') AS error
FROM messages m
LEFT JOIN LATERAL (
    SELECT status, at, error FROM events
    WHERE account_id = m.account_id AND message_id = m.id
      AND kind <> 11 -- as in claim_emails
    ORDER BY status_rank(status) DESC, at DESC, status DESC LIMIT 1
) e ON true
WHERE m.account_id = $1 AND m.id = $2

-- name: count_open_by_account
-- Messages by account that may still be sent: those in queues, from the id on below which all of
-- them are done, and those that wait for their hour. It reads the whole backlog: once, at a start.
SELECT account_id, count(*) AS open FROM (
    SELECT m.account_id, m.id FROM messages m
    WHERE m.send_at IS NULL AND m.id >= coalesce((SELECT min(open_from) FROM queue_marks), 0)
    UNION ALL
    SELECT m.account_id, m.id FROM messages m WHERE m.send_at IS NOT NULL
) m
WHERE NOT EXISTS (
    SELECT FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id AND e.closes)
GROUP BY account_id

-- ── What was earned (margins.py): an operator's question, which may take seconds ────────────

-- name: fetch_margins
-- Of messages in a range of ids, by $3: segments that carriers took, what they brought and cost.
WITH segment AS (
    SELECT account_id, message_id, segment,
           max(carrier_id) FILTER (WHERE kind = 1) AS carrier_id,
           sum(posted_micros) - coalesce(sum(refunded_micros), 0) AS earned,
           sum(cost_micros) AS cost, bool_or(kind = 11 AND error = 'not billed') AS unbilled
    FROM events
    WHERE message_id >= $1 AND message_id < $2 AND kind IN (1, 11)
    GROUP BY account_id, message_id, segment
)
SELECT CASE $3::text WHEN 'account' THEN a.name WHEN 'carrier' THEN c.name
                     WHEN 'country' THEN m.country WHEN 'operator' THEN coalesce(m.operator, '')
                     ELSE usage_day(m.id)::text END AS key,
       a.currency, count(*) AS segments, sum(s.earned)::bigint AS earned,
       coalesce(sum(s.cost) FILTER (WHERE NOT s.unbilled), 0)::bigint AS cost,
       count(*) FILTER (WHERE s.cost IS NULL) AS uncosted
FROM segment s
JOIN messages m ON m.account_id = s.account_id AND m.id = s.message_id
               AND m.id >= $1 AND m.id < $2
JOIN accounts a ON a.id = s.account_id
LEFT JOIN carriers c ON c.id = s.carrier_id
GROUP BY 1, 2 ORDER BY 2, 1

-- ── Balances that are low (low_balances.py) ─────────────────────────────────────────────────

-- name: set_low_balance
INSERT INTO low_balances (account_id, threshold_micros) VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE SET threshold_micros = excluded.threshold_micros

-- name: remove_low_balance
DELETE FROM low_balances WHERE account_id = $1

-- name: fetch_low_balance
SELECT threshold_micros, low FROM low_balances WHERE account_id = $1

-- name: cross_low_balances
-- Every few seconds: most often nobody has crossed.
UPDATE low_balances l SET low = NOT l.low, changed_at = now()
FROM balances b, accounts a
WHERE b.account_id = l.account_id AND a.id = l.account_id
  AND (b.available_micros < l.threshold_micros) <> l.low
RETURNING l.account_id, a.name, a.currency, l.low, b.available_micros, l.threshold_micros

-- name: tell_low_balance
-- To those who have an endpoint.
INSERT INTO outbox (account_id, message_id, body, created_at, next_at)
SELECT t.account_id, 0, t.body, $3, 0
FROM unnest($1::int[], $2::text[]) AS t(account_id, body)
JOIN accounts a ON a.id = t.account_id
WHERE a.webhook_url <> ''

-- name: count_low_balances
SELECT count(*) FROM low_balances WHERE low

-- ── What accounts used (usage.py) ───────────────────────────────────────────────────────────

-- name: fetch_newest_message
SELECT max(m.id) FROM accounts a
CROSS JOIN LATERAL (SELECT id FROM messages WHERE account_id = a.id ORDER BY id DESC LIMIT 1) m

-- name: lock_usage_mark
-- Waits for whoever counts just now, and for a message that is being replaced (backlog.py).
SELECT counted_to FROM usage_mark FOR UPDATE

-- name: count_usage
-- Adds up the messages of a range of ids, which lies within one day ($3), by a look at each
-- account's own range: no index is kept for it. About 1 µs a message.
WITH used AS (
    SELECT a.id AS account_id, m.*
    FROM accounts a
    CROSS JOIN LATERAL (
        SELECT country, coalesce(operator, '') AS operator, coalesce(tag, '') AS tag,
               count(*) AS messages, sum(segments) AS segments, sum(price_micros)::bigint AS priced
        FROM messages WHERE account_id = a.id AND id >= $1 AND id < $2
        GROUP BY 1, 2, 3
    ) m
),
counted AS (
    INSERT INTO usage_days AS u
    SELECT account_id, $3, country, operator, tag, messages, segments, priced FROM used
    ON CONFLICT (account_id, day, country, operator, tag) DO UPDATE SET
        messages = u.messages + excluded.messages,
        segments = u.segments + excluded.segments,
        priced_micros = u.priced_micros + excluded.priced_micros
),
marked AS (UPDATE usage_mark SET counted_to = $2)
SELECT coalesce(sum(messages), 0)::bigint FROM used

-- name: recount_usage
-- A message that was counted already costs something else now: $7 segments and $8 micros more.
UPDATE usage_days SET segments = segments + $7, priced_micros = priced_micros + $8
WHERE account_id = $1 AND day = usage_day($2) AND country = $3 AND operator = $4 AND tag = $5
  AND $2 < $6

-- name: fetch_usage_mark
SELECT counted_to FROM usage_mark

-- name: fetch_volumes
-- Segments accepted of each account from a day on, those that are not counted yet included.
SELECT a.id AS account_id, coalesce(u.segments, 0)::bigint + coalesce(m.segments, 0) AS segments
FROM accounts a
LEFT JOIN (
    SELECT account_id, sum(segments) AS segments FROM usage_days WHERE day >= $1 GROUP BY 1
) u ON u.account_id = a.id
LEFT JOIN LATERAL (
    SELECT sum(segments) AS segments FROM messages
    WHERE account_id = a.id AND id >= greatest((SELECT counted_to FROM usage_mark), $2)
) m ON true

-- name: fetch_statement
-- What an account used from a day ($2) to another ($3), with the ids that these days span ($4 to
-- $5): a line for each value of $6 (day, country, operator, tag), at most $7 of them.
WITH used AS (
    SELECT day, country, operator, tag, messages, segments, priced_micros,
           0 AS voided_micros, 0 AS refunded_micros
    FROM usage_days WHERE account_id = $1 AND day BETWEEN $2 AND $3
    UNION ALL
    SELECT usage_day(id), country, coalesce(operator, ''), coalesce(tag, ''), 1, segments,
           price_micros, 0, 0
    FROM messages
    WHERE account_id = $1 AND id >= greatest((SELECT counted_to FROM usage_mark), $4) AND id < $5
    UNION ALL
    SELECT day, country, operator, tag, 0, 0, 0, voided_micros, refunded_micros
    FROM usage_returned WHERE account_id = $1 AND day BETWEEN $2 AND $3
)
SELECT CASE $6::text WHEN 'day' THEN day::text WHEN 'country' THEN country
                     WHEN 'operator' THEN operator ELSE tag END AS key,
       sum(messages)::bigint AS messages, sum(segments)::bigint AS segments,
       sum(priced_micros)::bigint AS priced, sum(voided_micros)::bigint AS voided,
       sum(refunded_micros)::bigint AS refunded
FROM used GROUP BY 1 ORDER BY 1 LIMIT $7

-- name: fetch_deposited
-- What was deposited and taken back from one moment to another.
SELECT coalesce(sum(amount_micros) FILTER (WHERE amount_micros > 0), 0)::bigint AS added,
       coalesce(sum(amount_micros) FILTER (WHERE amount_micros < 0), 0)::bigint AS taken
FROM deposits WHERE account_id = $1 AND created_at >= $2 AND created_at < $3

-- name: collapse_usage
-- Of a day whose messages are dropped, tags are forgotten: an account may have had one a message. At
-- most $2 rows at once; returns how many.
WITH gone AS (
    DELETE FROM usage_days WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM usage_days WHERE day = $1 AND tag <> '' LIMIT $2))
    RETURNING *
),
collapsed AS (
    INSERT INTO usage_days AS u
    SELECT account_id, day, country, operator, '', sum(messages), sum(segments), sum(priced_micros)
    FROM gone GROUP BY account_id, day, country, operator
    ON CONFLICT (account_id, day, country, operator, tag) DO UPDATE SET
        messages = u.messages + excluded.messages,
        segments = u.segments + excluded.segments,
        priced_micros = u.priced_micros + excluded.priced_micros
)
SELECT count(*) FROM gone

-- name: collapse_returned
WITH gone AS (
    DELETE FROM usage_returned WHERE day = $1 AND tag <> '' RETURNING *
)
INSERT INTO usage_returned AS u
SELECT account_id, day, country, operator, '', sum(voided_segments), sum(voided_micros),
       sum(refunded_segments), sum(refunded_micros)
FROM gone GROUP BY account_id, day, country, operator
ON CONFLICT (account_id, day, country, operator, tag) DO UPDATE SET
    voided_segments = u.voided_segments + excluded.voided_segments,
    voided_micros = u.voided_micros + excluded.voided_micros,
    refunded_segments = u.refunded_segments + excluded.refunded_segments,
    refunded_micros = u.refunded_micros + excluded.refunded_micros

-- name: forget_usage
DELETE FROM usage_days WHERE day < $1

-- name: forget_returned
DELETE FROM usage_returned WHERE day < $1

-- name: audit_usage
-- What statements say of a day, by account.
SELECT account_id, sum(messages)::bigint AS messages, sum(segments)::bigint AS segments,
       sum(priced)::bigint AS priced, sum(voided)::bigint AS voided,
       sum(refunded)::bigint AS refunded
FROM (
    SELECT account_id, messages, segments, priced_micros AS priced, 0 AS voided, 0 AS refunded
    FROM usage_days WHERE day = $1
    UNION ALL
    SELECT account_id, 0, 0, 0, voided_micros, refunded_micros FROM usage_returned WHERE day = $1
) u GROUP BY account_id

-- ── Settings, and the nodes that run them (settings.py) ─────────────────────────────────────

-- name: lock_settings
-- Versions are given out one after another, also when two commands apply at once.
LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE

-- name: fetch_settings
-- The version that holds, or a given one.
SELECT version, applied_at, author, source, tree, written_by FROM settings
WHERE refused IS NULL AND ($1::int IS NULL OR version = $1)
ORDER BY version DESC LIMIT 1

-- name: fetch_settings_versions
SELECT version, applied_at, author, source, refused FROM settings ORDER BY version DESC LIMIT $1

-- name: insert_settings
INSERT INTO settings (version, author, source, tree, written_by)
SELECT coalesce(max(version), 0) + 1, $1, $2, $3, $4 FROM settings
RETURNING version

-- name: forget_settings
DELETE FROM settings WHERE version <= (SELECT max(version) FROM settings) - $1::int

-- name: fetch_refusal
SELECT refused FROM settings WHERE version = $1

-- name: refuse_settings
UPDATE settings SET refused = $2 WHERE version = $1

-- name: begin_node
INSERT INTO nodes (node, version) VALUES ($1, $2)
ON CONFLICT (node) DO UPDATE
SET started_at = now(), seen_at = now(), version = excluded.version, report = '{}'

-- name: beat_node
UPDATE nodes SET seen_at = now(), version = $2, report = $3 WHERE node = $1
RETURNING (SELECT coalesce(max(version), 0) FROM settings WHERE refused IS NULL)

-- name: end_node
DELETE FROM nodes WHERE node = $1

-- name: fetch_nodes
SELECT node, started_at, version, report FROM nodes
WHERE seen_at > now() - make_interval(secs => $1) ORDER BY node

-- ── Carriers (carriers.py) ──────────────────────────────────────────────────────────────────

-- name: register_carriers
INSERT INTO carriers (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- name: fetch_carriers
SELECT id, name, drained_at, drained_by, drain_reason FROM carriers ORDER BY name

-- name: drain_carrier
UPDATE carriers SET drained_at = now(), drained_by = $2, drain_reason = $3 WHERE name = $1
RETURNING id

-- name: resume_carrier
-- Returns whether it was drained.
UPDATE carriers c SET drained_at = NULL, drained_by = NULL, drain_reason = NULL
FROM (SELECT id, drained_at FROM carriers WHERE name = $1 FOR UPDATE) AS was
WHERE c.id = was.id
RETURNING was.drained_at IS NOT NULL

-- ── Erasing what belongs to a number (erasures.py) ──────────────────────────────────────────
--
-- A number has no index, as that would cost every message: a day is read whole. What is written
-- goes in small batches by primary key. An account that is NULL stands for all of them.

-- name: find_whose_number
-- The account that a number is the own one of.
SELECT a.name FROM accounts a
WHERE a.default_sender IN ($1, '+' || $1)
   OR EXISTS (SELECT FROM numbers n WHERE n.account_id = a.id AND n.number = $1)
ORDER BY a.id LIMIT 1

-- name: fetch_number_key
SELECT key FROM number_key

-- name: insert_erasure
INSERT INTO erasures (account_id, number, number_hash, reason, author, withdraw, requested_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id

-- name: count_unfinished_erasures
SELECT count(*) FROM erasures WHERE finished_at IS NULL

-- name: fetch_unfinished_erasures
SELECT id, account_id, number, withdraw FROM erasures WHERE finished_at IS NULL ORDER BY id

-- name: fetch_erasures
-- One, or the latest of all, or of a number by its hash.
SELECT e.id, coalesce(a.name, '') AS account, e.number_hash, e.reason, e.author, e.withdraw,
       e.requested_at, e.looked_at, e.finished_at,
       (SELECT count(*) FROM erasure_messages w WHERE w.erasure_id = e.id) AS waiting,
       coalesce((SELECT json_object_agg(c.what, c.count) FROM erasure_counts c
                 WHERE c.erasure_id = e.id)::text, '{}') AS counts
FROM erasures e LEFT JOIN accounts a ON a.id = e.account_id
WHERE ($1::bigint IS NULL OR e.id = $1) AND ($2::bytea IS NULL OR e.number_hash = $2)
ORDER BY e.id DESC LIMIT $3

-- name: fetch_searched_to
SELECT searched_to, searched FROM erasures WHERE id = $1

-- name: search_day
-- Reads a day's messages, some 0.2 µs each.
INSERT INTO erasure_messages
SELECT $1, account_id, id FROM messages
WHERE id >= $2 AND id < $3 AND (recipient = $4 OR sender IN ($4, '+' || $4))
  AND ($5::int IS NULL OR account_id = $5)
ON CONFLICT DO NOTHING

-- name: save_searched_to
UPDATE erasures SET searched_to = $2 WHERE id = $1

-- name: save_searched
UPDATE erasures SET searched = true WHERE id = $1

-- name: fetch_found_messages
-- The next ones in order, with what may still need them.
SELECT w.account_id, w.message_id, coalesce(e.status, 1::smallint) AS status,
       m.id IS NULL AS dropped, f.state, f.content_id
FROM (
    SELECT account_id, message_id FROM erasure_messages
    WHERE erasure_id = $1 AND (account_id, message_id) > ($2, $3)
    ORDER BY account_id, message_id LIMIT $4
) w
LEFT JOIN LATERAL (
    SELECT id FROM messages WHERE account_id = w.account_id AND id = w.message_id LIMIT 1
) m ON true
LEFT JOIN LATERAL (
    SELECT status FROM events WHERE account_id = w.account_id AND message_id = w.message_id
    ORDER BY status_rank(status) DESC, at DESC, status DESC LIMIT 1
) e ON true
LEFT JOIN email_fallbacks f ON f.account_id = w.account_id AND f.message_id = w.message_id
ORDER BY w.account_id, w.message_id

-- name: erase_messages
-- $4 and $5 are the first and the last id, which leave few partitions to look at.
UPDATE messages m SET
    recipient = CASE WHEN m.recipient = $3 THEN 'erased' ELSE m.recipient END,
    sender = CASE WHEN m.sender IN ($3, '+' || $3) THEN 'erased' ELSE m.sender END,
    body = NULL, data = NULL, udh = NULL, tlvs = NULL, client_ref = NULL, callback_url = NULL
FROM unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE m.account_id = k.account_id AND m.id = k.id AND m.id >= $4 AND m.id <= $5
  AND (m.recipient = $3 OR m.sender IN ($3, '+' || $3))

-- name: erase_event_errors
-- What carriers wrote beside a status.
UPDATE events e SET error = replace(e.error, $3, 'erased')
FROM unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE e.account_id = k.account_id AND e.message_id = k.id
  AND e.message_id >= $4 AND e.message_id <= $5 AND strpos(e.error, $3) > 0

-- name: erase_emails
UPDATE email_fallbacks f SET address = 'erased', reply = ''
FROM unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE f.account_id = k.account_id AND f.message_id = k.id AND f.address <> 'erased'

-- name: erase_email_contents
-- Those that no other message's email has.
DELETE FROM email_contents c
USING unnest($1::int[], $2::bytea[]) AS k(account_id, id)
WHERE c.account_id = k.account_id AND c.id = k.id AND NOT EXISTS (
    SELECT FROM email_fallbacks f
    WHERE f.account_id = c.account_id AND f.content_id = c.id AND f.address <> 'erased')

-- name: erase_keys
DELETE FROM idempotency i
USING unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE i.account_id = k.account_id AND i.message_id = k.id
  AND i.message_id >= $3 AND i.message_id <= $4

-- name: settle_found_messages
DELETE FROM erasure_messages w
USING unnest($2::int[], $3::bigint[]) AS k(account_id, id)
WHERE w.erasure_id = $1 AND w.account_id = k.account_id AND w.message_id = k.id

-- name: add_erased
INSERT INTO erasure_counts AS c VALUES ($1, $2, $3)
ON CONFLICT (erasure_id, what) DO UPDATE SET count = c.count + excluded.count

-- name: erase_inbound
UPDATE inbound_messages SET sender = 'erased', content = '', body = NULL, udh = '', tlvs = NULL
WHERE (account_id, id) IN (
    SELECT account_id, id FROM inbound_messages
    WHERE sender = $1 AND ($2::int IS NULL OR account_id = $2) LIMIT $3)

-- name: erase_inbound_parts
DELETE FROM inbound_parts WHERE id IN (
    SELECT p.id FROM inbound_parts p
    WHERE p.sender = $1 AND p.message_id IS NOT NULL
      AND ($2::int IS NULL OR EXISTS (
          SELECT FROM inbound_messages i WHERE i.account_id = $2 AND i.id = p.message_id))
    LIMIT $3)

-- name: erase_unmatched
-- They belong to no account.
UPDATE parked_receipts SET recipient = '', tlvs = NULL WHERE id IN (
    SELECT id FROM parked_receipts
    WHERE recipient IN ($1, '+' || $1, '00' || $1) AND $2::int IS NULL LIMIT $3)

-- name: erase_told
-- Events for customers' endpoints: those that were given up and, if $4 says so, those that wait.
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox
    WHERE (dead OR $4) AND ($2::int IS NULL OR account_id = $2)
      AND (strpos(body, $1) > 0 AND body ~ ('(^|[^0-9])' || $1 || '([^0-9]|$)')
           OR strpos(url, $1) > 0)
    LIMIT $3)

-- name: find_deliveries_of
SELECT account_id, id, body FROM deliveries
WHERE ($2::int IS NULL OR account_id = $2) AND position(convert_to($1, 'SQL_ASCII') IN body) > 0
ORDER BY account_id, id LIMIT $3

-- name: erase_deliveries
DELETE FROM deliveries d USING unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE d.account_id = k.account_id AND d.id = k.id

-- name: count_unerased
-- What ends by itself: events that are being delivered, and parts that wait for others.
SELECT (SELECT count(*) FROM erasure_messages WHERE erasure_id = $1) AS messages,
       (SELECT count(*) FROM outbox
        WHERE ($3::int IS NULL OR account_id = $3)
          AND (strpos(body, $2) > 0 AND body ~ ('(^|[^0-9])' || $2 || '([^0-9]|$)')
               OR strpos(url, $2) > 0)) AS webhooks,
       (SELECT count(*) FROM inbound_parts
        WHERE sender = $2 AND message_id IS NULL AND $3::int IS NULL) AS inbound_parts

-- name: fetch_waiting_ids
SELECT message_id FROM erasure_messages WHERE erasure_id = $1
ORDER BY account_id, message_id LIMIT $2

-- name: note_erasure
UPDATE erasures SET looked_at = $2 WHERE id = $1

-- name: finish_erasure
UPDATE erasures SET number = NULL, looked_at = $2, finished_at = $2
WHERE id = $1 AND finished_at IS NULL

-- ── What is known of a number (number_export.py) ────────────────────────────────────────────

-- name: insert_number_export
INSERT INTO number_exports (account_id, number_hash, reason, author, begun_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id

-- name: finish_number_export
UPDATE number_exports SET ended_at = $2, row_count = $3 WHERE id = $1

-- name: fetch_number_exports
-- The latest of all, or of a number by its hash.
SELECT x.id, coalesce(a.name, '') AS account, x.number_hash, x.reason, x.author, x.begun_at,
       x.ended_at, x.row_count
FROM number_exports x LEFT JOIN accounts a ON a.id = x.account_id
WHERE $1::bytea IS NULL OR x.number_hash = $1
ORDER BY x.id DESC LIMIT $2

-- name: fetch_account_names
SELECT id, name FROM accounts

-- name: find_messages_of_number
-- Reads a day's messages, as search_day.
SELECT account_id, id, callback_url FROM messages
WHERE id >= $1 AND id < $2 AND (recipient = $3 OR sender IN ($3, '+' || $3))
  AND ($4::int IS NULL OR account_id = $4)
ORDER BY id

-- name: fetch_email_content
SELECT f.address AS "to", c.subject, c.body_text AS text, c.body_html AS html, c.reply_to
FROM email_fallbacks f
JOIN email_contents c ON c.account_id = f.account_id AND c.id = f.content_id
WHERE f.account_id = $1 AND f.message_id = $2

-- name: fetch_inbound_of_number
SELECT account_id, id, carrier_id, received_at, sender, recipient, udh, content, body, encoding,
       exact, segments, missing
FROM inbound_messages
WHERE sender = $1 AND ($2::int IS NULL OR account_id = $2) AND id > $3
ORDER BY id LIMIT $4

-- name: fetch_parts_of_number
-- Those of an account only as far as their message is there.
SELECT p.* FROM inbound_parts p
WHERE p.sender = $1 AND p.id > $3 AND ($2::int IS NULL OR EXISTS (
    SELECT FROM inbound_messages i WHERE i.account_id = $2 AND i.id = p.message_id))
ORDER BY p.id LIMIT $4

-- name: fetch_unmatched_of_number
-- They belong to no account.
SELECT * FROM parked_receipts
WHERE recipient IN ($1, '+' || $1, '00' || $1) AND $2::int IS NULL AND id > $3
ORDER BY id LIMIT $4

-- name: fetch_told_of_number
SELECT id, account_id, message_id, url, body, dead, created_at FROM outbox
WHERE ($2::int IS NULL OR account_id = $2) AND id > $3
  AND (strpos(body, $1) > 0 AND body ~ ('(^|[^0-9])' || $1 || '([^0-9]|$)')
       OR strpos(url, $1) > 0)
ORDER BY id LIMIT $4

-- name: fetch_deliveries_of_number
SELECT account_id, id, message_id, body, created_at FROM deliveries
WHERE ($2::int IS NULL OR account_id = $2) AND id > $3
  AND position(convert_to($1, 'SQL_ASCII') IN body) > 0
ORDER BY id LIMIT $4

-- ── Nodes and what each alone may do (leases.py) ────────────────────────────────────────────

-- name: fetch_node_leases
SELECT node, epoch, claimed, ready, process, place,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS left_s,
       extract(epoch FROM clock_timestamp() - claimed_at)::float8 AS age_s
FROM node_leases ORDER BY node

-- name: fetch_leases
-- All but the receivers of accounts: there may be thousands, and each node asks for its own.
SELECT name, node, epoch, usable FROM leases WHERE name NOT LIKE 'receivers:%'

-- name: claim_node
-- $2: the epoch that was seen, 0 for none; $4: whether its process is known to be gone. What it sent
-- last left before it was so, or the margin ($7) before its claim ended.
INSERT INTO node_leases (node, epoch, claimed, expires_at, claimed_at, process, place)
VALUES ($1, 1, true, clock_timestamp() + make_interval(secs => $3), clock_timestamp(), $5, $6)
ON CONFLICT (node) DO UPDATE SET
    epoch = node_leases.epoch + 1, claimed = true, ready = false,
    expires_at = excluded.expires_at, claimed_at = excluded.claimed_at,
    process = excluded.process, place = excluded.place,
    quiet_at = CASE
        WHEN NOT node_leases.claimed THEN node_leases.quiet_at
        WHEN node_leases.expires_at > clock_timestamp() THEN clock_timestamp()
        ELSE node_leases.expires_at - make_interval(secs => $7)
    END
WHERE node_leases.epoch = $2
  AND (NOT node_leases.claimed OR $4 OR node_leases.expires_at <= clock_timestamp())
RETURNING epoch

-- name: renew_node
UPDATE node_leases SET expires_at = clock_timestamp() + make_interval(secs => $3), ready = $4
WHERE node = $1 AND epoch = $2 AND claimed RETURNING epoch

-- name: end_node_lease
UPDATE node_leases SET claimed = false, ready = false,
    quiet_at = CASE WHEN expires_at > clock_timestamp() THEN clock_timestamp()
        ELSE expires_at - make_interval(secs => $4) END
WHERE node = $1 AND epoch = $2 AND claimed AND ($3 OR expires_at <= clock_timestamp())
RETURNING epoch

-- name: give_up_node
UPDATE node_leases SET claimed = false, ready = false, quiet_at = clock_timestamp()
WHERE node = $1 AND epoch = $2 AND claimed

-- name: fence_writers
-- Two numbers, as when a line is taken over: what may still be running waits here or fails.
UPDATE writers SET seq = seq + 2 WHERE name = ANY($1::text[])

-- name: know_leases
INSERT INTO leases (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- name: take_leases
-- Of these names what is nobody's; whoever else takes one of them now is faster. What is the taker's
-- already was taken by a statement whose answer got lost.
WITH free AS (
    SELECT l.name, greatest(l.quiet_at, n.quiet_at) AS quiet_at
    FROM leases l LEFT JOIN node_leases n ON n.node = l.node
    WHERE l.name = ANY($1::text[])
      AND (l.node IS NULL OR n.node IS NULL OR NOT n.claimed OR n.epoch <> l.epoch
           OR (l.node = $2 AND l.epoch = $3))
    FOR UPDATE OF l SKIP LOCKED
)
UPDATE leases l SET
    node = $2, epoch = $3, since = clock_timestamp(), usable = false, quiet_at = free.quiet_at
FROM free
WHERE l.name = free.name AND EXISTS (
    SELECT FROM node_leases
    WHERE node = $2 AND epoch = $3 AND claimed AND expires_at > clock_timestamp())
RETURNING l.name,
    least(1e9, extract(epoch FROM clock_timestamp() - free.quiet_at))::float8 AS quiet_s

-- name: give_up_leases
UPDATE leases SET
    node = NULL, epoch = NULL, usable = false, since = clock_timestamp(), quiet_at = clock_timestamp()
WHERE name = ANY($1::text[]) AND node = $2 AND epoch = $3

-- name: tell_usable
UPDATE leases l SET usable = u.usable
FROM unnest($1::text[], $2::boolean[]) AS u(name, usable)
WHERE l.name = u.name AND l.node = $3 AND l.epoch = $4

-- ── Texts that are kept for less long than messages (texts.py): these run in maintenance ────

-- name: fetch_days_without_texts
SELECT day FROM days_without_texts

-- name: note_day_without_texts
INSERT INTO days_without_texts (day) VALUES ($1) ON CONFLICT DO NOTHING

-- name: forget_days_without_texts
DELETE FROM days_without_texts WHERE day < $1

-- name: fetch_needed_texts
-- With whether each is needed still.
SELECT n.account_id, n.message_id,
       f.message_id IS NOT NULL OR NOT EXISTS (
           SELECT FROM events e
           WHERE e.account_id = n.account_id AND e.message_id = n.message_id AND e.closes) AS needed
FROM (
    SELECT account_id, message_id FROM needed_texts
    WHERE (account_id, message_id) > ($1, $2) ORDER BY account_id, message_id LIMIT $3
) n
LEFT JOIN email_fallbacks f
    ON f.account_id = n.account_id AND f.message_id = n.message_id AND f.state = 0
ORDER BY n.account_id, n.message_id

-- name: erase_texts
UPDATE messages m SET body = NULL, data = NULL, udh = NULL
FROM unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE m.account_id = k.account_id AND m.id = k.id AND m.id >= $3 AND m.id <= $4

-- name: settle_needed_texts
DELETE FROM needed_texts n USING unnest($1::int[], $2::bigint[]) AS k(account_id, id)
WHERE n.account_id = k.account_id AND n.message_id = k.id

-- name: drop_needed_texts
-- Of days that are no longer kept.
DELETE FROM needed_texts WHERE message_id < $1

-- name: erase_inbound_texts
-- Between the id that the last run came to and the one that is old enough now.
UPDATE inbound_messages SET content = '', body = NULL, udh = '', tlvs = NULL
WHERE (account_id, id) IN (
    SELECT account_id, id FROM inbound_messages
    WHERE id >= $1 AND id < $2 AND body IS NOT NULL ORDER BY id LIMIT $3)

-- name: forget_received_notices
-- Those of texts from phones that no endpoint took.
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox
    WHERE dead AND created_at < $1 AND strpos(body, '"message.received"') > 0 LIMIT $2)

-- name: forget_sent_email_contents
DELETE FROM email_contents WHERE (account_id, id) IN (
    SELECT c.account_id, c.id FROM email_contents c
    WHERE c.created_at < $1 AND NOT EXISTS (
        SELECT FROM email_fallbacks f
        WHERE f.account_id = c.account_id AND f.content_id = c.id AND f.state = 0)
    LIMIT $2)

-- ── Texts of accounts that keep them for less long (account_texts.py) ───────────────────────

-- name: save_account_text_days
INSERT INTO account_texts (account_id, days) VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE SET days = excluded.days

-- name: forget_account_text_days
DELETE FROM account_texts WHERE account_id = $1

-- name: fetch_account_text_days
SELECT days FROM account_texts WHERE account_id = $1

-- name: list_account_text_days
SELECT account_id, days, erased_to, inbound_to FROM account_texts ORDER BY account_id

-- name: find_texts_of_account
-- The account's next messages that have something to erase, and whether it is needed still.
SELECT m.id,
       NOT EXISTS (
           SELECT FROM events e
           WHERE e.account_id = $1 AND e.message_id = m.id AND e.closes)
       OR EXISTS (
           SELECT FROM email_fallbacks f
           WHERE f.account_id = $1 AND f.message_id = m.id AND f.state = 0) AS needed
FROM (
    SELECT id FROM messages
    WHERE account_id = $1 AND id >= $2 AND id < $3
      AND (body IS NOT NULL OR data IS NOT NULL OR udh IS NOT NULL)
    ORDER BY id LIMIT $4
) m
ORDER BY m.id

-- name: note_needed_texts
INSERT INTO needed_texts SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING

-- name: mark_account_texts
UPDATE account_texts SET erased_to = greatest(erased_to, $2) WHERE account_id = $1

-- name: erase_inbound_texts_of_account
UPDATE inbound_messages SET content = '', body = NULL, udh = '', tlvs = NULL
WHERE account_id = $1 AND id IN (
    SELECT id FROM inbound_messages
    WHERE account_id = $1 AND id >= $2 AND id < $3 AND body IS NOT NULL ORDER BY id LIMIT $4)

-- name: mark_account_inbound
UPDATE account_texts SET inbound_to = $2 WHERE account_id = $1

-- name: forget_inbound_parts_of_account
DELETE FROM inbound_parts WHERE id IN (
    SELECT p.id FROM inbound_parts p JOIN inbound_messages i ON i.id = p.message_id
    WHERE i.account_id = $1 AND p.received_at < $2 LIMIT $3)

-- name: forget_received_notices_of_account
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox
    WHERE account_id = $1 AND dead AND created_at < $2
      AND strpos(body, '"message.received"') > 0 LIMIT $3)

-- name: forget_sent_email_contents_of_account
DELETE FROM email_contents WHERE account_id = $1 AND id IN (
    SELECT c.id FROM email_contents c
    WHERE c.account_id = $1 AND c.created_at < $2 AND NOT EXISTS (
        SELECT FROM email_fallbacks f
        WHERE f.account_id = c.account_id AND f.content_id = c.id AND f.state = 0)
    LIMIT $3)

-- ── What nodes ask of each other (errands.py) ───────────────────────────────────────────────

-- name: put_errand
WITH put AS (
    INSERT INTO node_errands (id, lease, kind, asked, until)
    VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5)) RETURNING lease
)
SELECT pg_notify('gateway_errands', lease) FROM put

-- name: begin_errands
UPDATE node_errands SET begun = true WHERE id = ANY (ARRAY(
    SELECT id FROM node_errands
    WHERE lease = ANY($1::text[]) AND NOT begun AND until > clock_timestamp()
    ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING id, kind, asked

-- name: fetch_errands_leases
SELECT DISTINCT lease FROM node_errands WHERE NOT begun AND until > clock_timestamp()

-- name: answer_errand
WITH answered AS (
    UPDATE node_errands SET answer = $2, failed = $3 WHERE id = $1 RETURNING id
)
SELECT pg_notify('gateway_answers', id::text) FROM answered

-- name: take_back_errand
DELETE FROM node_errands WHERE id = $1 RETURNING begun, answer, failed

-- name: forget_errands
DELETE FROM node_errands WHERE until < clock_timestamp() - make_interval(secs => $1)

-- name: fetch_claims
SELECT node, epoch FROM node_leases WHERE claimed ORDER BY node

-- ── Nodes' shares of accounts' ceilings (shares.py) ─────────────────────────────────────────

-- name: fetch_ceiling_shares
-- Of claims that have not ended: of accounts in $1, and of those that another node than $2 needs.
SELECT s.account_id, s.node, s.share, s.need FROM ceiling_shares s
JOIN node_leases n ON n.node = s.node AND n.epoch = s.epoch AND n.claimed
WHERE s.account_id = ANY($1::int[])
   OR s.account_id IN (SELECT account_id FROM ceiling_shares WHERE need > 0 AND node <> $2)

-- name: save_ceiling_shares
INSERT INTO ceiling_shares (account_id, node, epoch, share, need)
SELECT u.account_id, $1, $2, u.share, u.need
FROM unnest($3::int[], $4::float8[], $5::float8[]) AS u(account_id, share, need)
ON CONFLICT (account_id, node) DO UPDATE
SET epoch = excluded.epoch, share = excluded.share, need = excluded.need
