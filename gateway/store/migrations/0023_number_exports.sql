-- Who had everything about a number written out, when and why. The number itself is not kept.
CREATE TABLE number_exports (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  integer REFERENCES accounts,  -- NULL: every account's
    number_hash bytea NOT NULL,               -- HMAC-SHA-256, as of erasures
    reason      text NOT NULL,
    author      text NOT NULL,
    begun_at    double precision NOT NULL,
    ended_at    double precision,             -- NULL: it was not written to its end
    row_count   bigint NOT NULL DEFAULT 0
);
