-- Webhooks: two secrets while one is being rotated, and events that were given up are tried again.

ALTER TABLE accounts
    ADD COLUMN webhook_secret_old text NOT NULL DEFAULT '',          -- signs beside the present one
    ADD COLUMN webhook_old_until  double precision NOT NULL DEFAULT 0;

ALTER TABLE outbox
    ADD COLUMN retried_from double precision;    -- since when it is tried again; NULL: created_at
CREATE INDEX outbox_dead ON outbox (account_id, id) WHERE dead;
