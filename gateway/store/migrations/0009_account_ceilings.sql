-- How fast an account's messages leave, and how many of them one number may get; an account
-- without a row has no ceilings of its own.
CREATE TABLE account_ceilings (
    account_id           integer PRIMARY KEY REFERENCES accounts,
    segments_per_s       double precision NOT NULL DEFAULT 0 CHECK (segments_per_s >= 0), -- 0: none
    segments_burst       integer NOT NULL DEFAULT 1 CHECK (segments_burst >= 1),
    recipient_per_minute integer CHECK (recipient_per_minute >= 0),  -- NULL: as the settings say
    recipient_per_hour   integer CHECK (recipient_per_hour >= 0)     -- 0: none
);
