-- Who owns the carriers, for how long, by this server's clock alone: nodes compare no clocks.
-- Each taking of it is an epoch, and only the present one can be renewed or written under.
CREATE TABLE leases (
    name       text PRIMARY KEY,
    epoch      bigint NOT NULL,
    held       boolean NOT NULL,      -- false: given up
    expires_at timestamptz NOT NULL,
    quiet_at   timestamptz NOT NULL,  -- nothing was sent after it by epochs that have ended
    process    text NOT NULL          -- which process has it, for those on its machine
) WITH (fillfactor = 50);
