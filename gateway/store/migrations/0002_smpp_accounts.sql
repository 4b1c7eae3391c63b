-- Customers who bind over SMPP: their credentials, what they asked for with a message, and what
-- waits to go up to them.

ALTER TABLE messages
    ADD COLUMN registered_delivery smallint,  -- as its customer wrote it; NULL: no receipt
    ADD COLUMN group_id            bigint;    -- the id that a whole submit_multi was answered with

CREATE TABLE smpp_accounts (
    account_id  integer PRIMARY KEY REFERENCES accounts,
    system_id   text NOT NULL UNIQUE,
    password    text NOT NULL,                -- scrypt, with its parameters and salt
    networks    text[] NOT NULL DEFAULT '{}', -- empty: from anywhere
    binds_max   integer CHECK (binds_max > 0),      -- NULL here and below: the settings' default
    window_size integer CHECK (window_size > 0),
    rate_per_s  double precision NOT NULL DEFAULT 0 CHECK (rate_per_s >= 0),
    queue_max   integer NOT NULL DEFAULT 0 CHECK (queue_max >= 0),
    id_form     text NOT NULL DEFAULT 'decimal',
    time_zone   text NOT NULL DEFAULT 'UTC',
    alphabet    text NOT NULL DEFAULT 'gsm7',
    lane        smallint NOT NULL DEFAULT 1,  -- of priority_flag 0
    changed_at  timestamptz NOT NULL DEFAULT now()
);

-- Each row is one deliver_sm that its account has not yet answered. Rows come and go at the speed
-- of receipts, so what is dead is cleared away early.
CREATE TABLE deliveries (
    account_id integer NOT NULL,
    id         bigint NOT NULL,               -- grows in the order in which they go up
    message_id bigint NOT NULL,
    body       bytea NOT NULL,                -- the PDU's, ready to be sent
    created_at double precision NOT NULL,
    PRIMARY KEY (account_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5);
CREATE INDEX deliveries_by_age ON deliveries USING brin (id);
