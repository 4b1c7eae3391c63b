-- What was given up gives way to a receipt, also to one whose event has the earlier time: the clock
-- may have been ahead when it was given up. Any other final status never goes back (`lifecycle.py`).
CREATE FUNCTION status_rank(status smallint) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN status < 10 THEN 0 WHEN status = 16 THEN 1 ELSE 2 END;

CREATE OR REPLACE VIEW message_states AS
SELECT m.account_id, m.id, accepted_at(m.id) AS accepted_at, m.recipient, m.segments,
       m.price_micros, coalesce(e.status, 1::smallint) AS status, to_timestamp(e.at) AS since,
       coalesce(e.carrier_id, m.carrier_id) AS carrier_id
FROM messages m
LEFT JOIN LATERAL (
    SELECT e.status, e.at, e.carrier_id FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id
    -- A final status outranks time: a receipt that overtook its submit_sm_resp carries the earlier
    -- time of its arrival.
    ORDER BY status_rank(e.status) DESC, e.at DESC, e.status DESC LIMIT 1
) e ON true;
