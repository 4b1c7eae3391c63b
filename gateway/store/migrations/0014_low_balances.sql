-- Below which available credit an account is told so, and whether it is below just now: what is
-- told, is told once a crossing, whichever node sees it first.
CREATE TABLE low_balances (
    account_id       integer PRIMARY KEY REFERENCES accounts,
    threshold_micros bigint NOT NULL,
    low              boolean NOT NULL DEFAULT false,
    changed_at       timestamptz NOT NULL DEFAULT now()
);
