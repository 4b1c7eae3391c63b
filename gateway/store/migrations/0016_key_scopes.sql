-- What a key may do, and where it may come from.
ALTER TABLE api_keys
    ADD COLUMN scopes   text[] NOT NULL DEFAULT '{send,read}',
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}';  -- addresses and networks; empty: anywhere
