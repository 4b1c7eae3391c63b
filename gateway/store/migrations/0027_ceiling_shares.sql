-- What each node has of an account's ceiling, and needs of it: fractions of one. Of claims that have
-- not ended, an account's shares never add up to more than one.
-- oldest_code: 23
CREATE TABLE ceiling_shares (
    account_id integer NOT NULL REFERENCES accounts,
    node       smallint NOT NULL,
    epoch      bigint NOT NULL,
    share      double precision NOT NULL,
    need       double precision NOT NULL,
    PRIMARY KEY (account_id, node)
) WITH (fillfactor = 50);
CREATE INDEX ceiling_shares_needed ON ceiling_shares (account_id) WHERE need > 0;
