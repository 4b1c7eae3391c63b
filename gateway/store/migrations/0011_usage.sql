-- What accounts used, by day of acceptance (UTC), country, operator and tag: statements read a few
-- rows a day instead of every message.

ALTER TABLE messages ADD COLUMN operator text;  -- MCC and MNC; NULL: nobody knows

-- The day of a message's acceptance, from its id (gateway/ids.py).
CREATE FUNCTION usage_day(id bigint) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT date '1970-01-01' + (((id >> 22) + 1704067200000) / 86400000)::integer
$$;

-- Messages below usage_mark are added up here, minutes after their acceptance; those above it are
-- read as they are.
CREATE TABLE usage_days (
    account_id    integer NOT NULL,
    day           date NOT NULL,
    country       text NOT NULL,
    operator      text NOT NULL,
    tag           text NOT NULL,
    messages      bigint NOT NULL,
    segments      bigint NOT NULL,
    priced_micros bigint NOT NULL,
    PRIMARY KEY (account_id, day, country, operator, tag)
);
CREATE INDEX usage_days_by_day ON usage_days (day);

CREATE TABLE usage_mark (
    counted_to bigint NOT NULL
);
INSERT INTO usage_mark VALUES (0);

-- What was voided and refunded of the messages of a day; kept in the same transaction as the
-- events that say so, which are rare.
CREATE TABLE usage_returned (
    account_id        integer NOT NULL,
    day               date NOT NULL,
    country           text NOT NULL,
    operator          text NOT NULL,
    tag               text NOT NULL,
    voided_segments   bigint NOT NULL,
    voided_micros     bigint NOT NULL,
    refunded_segments bigint NOT NULL,
    refunded_micros   bigint NOT NULL,
    PRIMARY KEY (account_id, day, country, operator, tag)
) WITH (fillfactor = 50);
CREATE INDEX usage_returned_by_day ON usage_returned (day);

INSERT INTO usage_returned
SELECT m.account_id, usage_day(m.id), m.country, '', coalesce(m.tag, ''),
       count(*) FILTER (WHERE e.voided_micros <> 0), sum(e.voided_micros),
       count(*) FILTER (WHERE e.refunded_micros <> 0), sum(coalesce(e.refunded_micros, 0))
FROM events e JOIN messages m ON m.account_id = e.account_id AND m.id = e.message_id
WHERE e.voided_micros <> 0 OR e.refunded_micros <> 0
GROUP BY 1, 2, 3, 5;
