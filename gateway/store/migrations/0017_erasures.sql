-- Personal data: what belongs to a number is erased when that is asked for, and a text may be gone
-- before its message is.

-- NULL: the text was erased. Of a message that has none it is ''.
ALTER TABLE messages ALTER COLUMN body DROP NOT NULL;
ALTER TABLE inbound_messages ALTER COLUMN body DROP NOT NULL;

-- Who had a number erased, when and why. The number itself stands here only as long as there is
-- something left to erase; afterwards its hash says whether a given number was.
CREATE TABLE erasures (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   integer REFERENCES accounts,  -- NULL: every account's
    number       text,
    number_hash  bytea NOT NULL,               -- HMAC-SHA-256
    reason       text NOT NULL,
    author       text NOT NULL,
    withdraw     boolean NOT NULL,             -- whether what has not left is withdrawn
    requested_at double precision NOT NULL,
    searched_to  date,                         -- messages of this day and before it were searched
    searched     boolean NOT NULL DEFAULT false,
    looked_at    double precision,             -- when it was last gone through
    finished_at  double precision
);
CREATE INDEX erasures_unfinished ON erasures (id) WHERE finished_at IS NULL;

-- Messages that were found and are not erased yet.
CREATE TABLE erasure_messages (
    erasure_id bigint NOT NULL REFERENCES erasures,
    account_id integer NOT NULL,
    message_id bigint NOT NULL,
    PRIMARY KEY (erasure_id, account_id, message_id)
);

-- How many rows of what were erased.
CREATE TABLE erasure_counts (
    erasure_id bigint NOT NULL REFERENCES erasures,
    what       text NOT NULL,
    count      bigint NOT NULL,
    PRIMARY KEY (erasure_id, what)
);

-- What numbers are hashed with where the settings name no key.
CREATE TABLE number_key (
    key bytea NOT NULL
);
INSERT INTO number_key
SELECT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
