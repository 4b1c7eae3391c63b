-- The whole store. Accounts and money change in place, a row an account; messages and what
-- happens to them are only ever appended, and leave a partition at a time.
--
-- Times on hot rows are seconds since the epoch (double precision): the views at the end show
-- them as people read them. A message's id carries the millisecond of its acceptance, so both
-- big tables are partitioned by it and by nothing else.

CREATE TABLE accounts (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL UNIQUE,
    currency       text NOT NULL DEFAULT 'credits',
    default_sender text NOT NULL DEFAULT '',
    segments_max   integer NOT NULL DEFAULT 10 CHECK (segments_max BETWEEN 1 AND 255),
    submit_per_s   double precision NOT NULL DEFAULT 0 CHECK (submit_per_s >= 0),
    webhook_url    text NOT NULL DEFAULT '',
    webhook_secret text NOT NULL DEFAULT '',
    active         boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now()
);

-- Posting does not change what is available (the reservation already did), so the two writers
-- touch different rows: intake only `balances`, outcomes `postings` and, for what is given back,
-- `balances`.
CREATE TABLE balances (
    account_id       integer PRIMARY KEY REFERENCES accounts,
    available_micros bigint NOT NULL DEFAULT 0,
    deposited_micros bigint NOT NULL DEFAULT 0,
    floor_micros     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE postings (
    account_id    integer PRIMARY KEY REFERENCES accounts,
    posted_micros bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE deposits (
    account_id    integer NOT NULL REFERENCES accounts,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    amount_micros bigint NOT NULL,
    reason        text NOT NULL,
    author        text NOT NULL,
    key           text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, key)
);

-- Keys are 256 random bits, so one SHA-256 is as hard to turn back as a slow hash.
CREATE TABLE api_keys (
    hash       bytea PRIMARY KEY,
    account_id integer NOT NULL REFERENCES accounts,
    prefix     text NOT NULL,
    label      text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_account ON api_keys (account_id);

CREATE TABLE carriers (
    id   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE messages (
    account_id   integer NOT NULL,
    id           bigint NOT NULL,
    carrier_id   smallint NOT NULL,          -- the first of routes: whose queue it waits in
    lane         smallint NOT NULL,
    routes       smallint[] NOT NULL,
    sender       text NOT NULL,
    recipient    text NOT NULL,
    country      text NOT NULL,
    body         text NOT NULL,
    data         bytea,
    udh          bytea,
    encoding     smallint NOT NULL,
    data_coding  smallint,
    segments     smallint NOT NULL,
    price_micros bigint NOT NULL,
    client_ref   text,
    tag          text,
    callback_url text,
    send_at      double precision,
    expires_at   double precision NOT NULL,
    PRIMARY KEY (account_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX messages_by_queue ON messages (carrier_id, lane, id) WHERE send_at IS NULL;
CREATE INDEX messages_by_schedule ON messages (send_at, id) WHERE send_at IS NOT NULL;

CREATE TABLE events (
    account_id         integer NOT NULL,
    message_id         bigint NOT NULL,
    at                 double precision NOT NULL,
    kind               smallint NOT NULL,
    segment            smallint NOT NULL,    -- 1 … segments
    segment_status     smallint NOT NULL,
    status             smallint NOT NULL,    -- the message's, after this event
    closes             boolean NOT NULL,     -- nothing of the message will be sent any more
    carrier_id         smallint,
    carrier_message_id text,                 -- normalised
    code               integer,              -- command_status, or a receipt's message_state
    error              text,
    posted_micros      bigint NOT NULL,
    voided_micros      bigint NOT NULL
) PARTITION BY RANGE (message_id);
CREATE INDEX events_by_message ON events (account_id, message_id);
CREATE INDEX events_by_carrier_message_id ON events (carrier_id, carrier_message_id)
    WHERE kind = 1;
-- The rare ends are found without walking past the common ones.
CREATE INDEX events_by_status ON events (account_id, status, message_id) WHERE status > 10;
-- The sweep for receipts that never came walks along time; appended rows stand in that order, so
-- block ranges cost the inserts next to nothing.
CREATE INDEX events_by_time ON events USING brin (at) WITH (autosummarize = on);

CREATE TABLE idempotency (
    account_id   integer NOT NULL,
    key          text NOT NULL,              -- 'k:' Idempotency-Key, 'r:' client_ref
    message_id   bigint NOT NULL,
    request_hash bytea NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_by_age ON idempotency USING brin (message_id);

CREATE TABLE parked_receipts (
    carrier_id         smallint NOT NULL,
    carrier_message_id text NOT NULL,
    received_at        double precision NOT NULL,
    segment_status     smallint NOT NULL,
    code               integer,
    error              text NOT NULL DEFAULT '',
    given_up           boolean NOT NULL DEFAULT false
);
CREATE INDEX parked_receipts_by_id ON parked_receipts (carrier_id, carrier_message_id);
CREATE INDEX parked_receipts_waiting ON parked_receipts (received_at) WHERE NOT given_up;

CREATE TABLE inbound_messages (
    id          bigint PRIMARY KEY,
    carrier_id  smallint NOT NULL,
    received_at double precision NOT NULL,
    sender      text NOT NULL,
    recipient   text NOT NULL,
    data_coding smallint NOT NULL,
    esm_class   smallint NOT NULL,
    content     bytea NOT NULL,
    body        text NOT NULL
);

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id integer NOT NULL,
    message_id bigint NOT NULL,
    url        text NOT NULL DEFAULT '',     -- empty: the account's own
    body       text NOT NULL,
    created_at double precision NOT NULL,
    next_at    double precision NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    dead       boolean NOT NULL DEFAULT false,
    error      text NOT NULL DEFAULT ''
);
-- Events are handed out by id, so that those for one address keep their order; with next_at in
-- the index, the many that wait for a dead endpoint are stepped over without a look at the table.
CREATE INDEX outbox_due ON outbox (id, next_at) WHERE NOT dead;

-- The last batch that each writer committed: after a connection broke in a COMMIT, this says
-- whether the batch is in.
CREATE TABLE writers (
    name text PRIMARY KEY,
    seq  bigint NOT NULL
) WITH (fillfactor = 50);


-- Every message of the queue below this id is closed: where a start begins to look.
CREATE TABLE queue_marks (
    carrier_id smallint NOT NULL,
    lane       smallint NOT NULL,
    open_from  bigint NOT NULL,
    PRIMARY KEY (carrier_id, lane)
);

-- How far each periodic sweep has looked, in seconds since the epoch.
CREATE TABLE sweep_marks (
    name     text PRIMARY KEY,
    seen_to  double precision NOT NULL
);

-- What dropped partitions held of money, so that the audit still adds up.
CREATE TABLE retired (
    account_id    integer PRIMARY KEY,
    priced_micros bigint NOT NULL,
    posted_micros bigint NOT NULL,
    voided_micros bigint NOT NULL
);

CREATE FUNCTION refuse_overdraft() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a reservation would pass the floor' USING ERRCODE = 'GW001';
END $$;

-- The second a message was accepted in, from its id (gateway/ids.py).
CREATE FUNCTION accepted_at(id bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp(((id >> 22) + 1704067200000) / 1000.0)
$$;

CREATE VIEW message_states AS
SELECT m.account_id, m.id, accepted_at(m.id) AS accepted_at, m.recipient, m.segments,
       m.price_micros, coalesce(e.status, 1::smallint) AS status, to_timestamp(e.at) AS since,
       coalesce(e.carrier_id, m.carrier_id) AS carrier_id
FROM messages m
LEFT JOIN LATERAL (
    SELECT e.status, e.at, e.carrier_id FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id
    -- A final status never goes back, so it outranks time: a receipt that overtook its
    -- submit_sm_resp carries the earlier time of its arrival.
    ORDER BY (e.status >= 10) DESC, e.at DESC, e.status DESC LIMIT 1
) e ON true;

-- A writer's batch carries its number and is in exactly when the number is: a repeat of a batch
-- whose first COMMIT got through after all fails here as a whole.
CREATE FUNCTION advance_writer(writer text, batch bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    UPDATE writers SET seq = batch WHERE name = writer AND seq = batch - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % of % is not the next one', batch, writer USING ERRCODE = 'GW002';
    END IF;
    RETURN batch;
END $$;
