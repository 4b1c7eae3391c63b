-- oldest_code: 23
-- Accounts whose texts are kept for less long than all others', and how far theirs are erased.
CREATE TABLE account_texts (
    account_id integer PRIMARY KEY REFERENCES accounts,
    days       integer NOT NULL CHECK (days > 0),
    erased_to  bigint NOT NULL DEFAULT 0,   -- messages below this id
    inbound_to bigint NOT NULL DEFAULT 0    -- texts from phones below this id
);
