-- Messages from phones: whose number they came to, and long ones put together from their parts.

CREATE TABLE numbers (
    account_id integer NOT NULL REFERENCES accounts,
    number     text NOT NULL,                 -- digits without + or 00
    carrier_id smallint REFERENCES carriers,  -- NULL: through whichever carrier
    keyword    text NOT NULL DEFAULT '',      -- empty: whatever the text says
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT numbers_have_one_owner UNIQUE NULLS NOT DISTINCT (number, carrier_id, keyword)
);

-- Nodes keep all numbers in memory and ask every few seconds whether any has changed: whoever changes
-- one, this counts on with it.
CREATE TABLE numbers_version (
    version bigint NOT NULL
);
INSERT INTO numbers_version VALUES (1);
CREATE FUNCTION advance_numbers_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE numbers_version SET version = version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER numbers_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON numbers
    FOR EACH STATEMENT EXECUTE FUNCTION advance_numbers_version();

-- Parts are kept as they came, before they are acknowledged and after their message was handed
-- over: the octets of record, and what a repetition by the carrier is recognised by.
CREATE TABLE inbound_parts (
    id          bigint PRIMARY KEY,           -- in the order of arrival
    message_id  bigint,                       -- NULL: it waits for other parts
    carrier_id  smallint NOT NULL,
    received_at double precision NOT NULL,
    sender      text NOT NULL,
    recipient   text NOT NULL,
    reference   integer NOT NULL,             -- with what kind it is of (gateway/inbound/parts.py)
    total       smallint NOT NULL,
    sequence    smallint NOT NULL,
    data_coding smallint NOT NULL,
    esm_class   smallint NOT NULL,
    udh         bytea NOT NULL,
    content     bytea NOT NULL
);
CREATE INDEX inbound_parts_by_message ON inbound_parts (message_id);

-- Before this, content began with the header that esm_class announces.
ALTER TABLE inbound_messages
    ADD COLUMN account_id integer NOT NULL DEFAULT 0,  -- 0: nobody's number
    ADD COLUMN encoding   text NOT NULL DEFAULT '',
    ADD COLUMN exact      boolean NOT NULL DEFAULT false,  -- body says all that content does
    ADD COLUMN udh        bytea NOT NULL DEFAULT '',
    ADD COLUMN segments   smallint NOT NULL DEFAULT 1,
    ADD COLUMN missing    smallint[] NOT NULL DEFAULT '{}', -- parts that did not come in time
    DROP CONSTRAINT inbound_messages_pkey,
    ADD PRIMARY KEY (account_id, id);
CREATE INDEX inbound_messages_by_age ON inbound_messages (id);
