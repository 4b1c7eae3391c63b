-- What a node asks of whoever has a lease ("carrier:ID") or of one node's claim ("node:N:EPOCH"): to
-- withdraw a message, to exchange its text, to let go of what it remembers. A row lives for seconds.
-- oldest_code: 23
-- contracts: 0.1.0
CREATE TABLE node_errands (
    id     bigint PRIMARY KEY,
    lease  text NOT NULL,
    kind   text NOT NULL,
    asked  bytea NOT NULL,
    until  timestamptz NOT NULL,            -- not begun by then: never
    begun  boolean NOT NULL DEFAULT false,
    answer bytea,
    failed text                             -- why there is no answer
);
CREATE INDEX node_errands_to_begin ON node_errands (lease) WHERE NOT begun;
DROP TABLE errands;                         -- nobody has ever written to it
