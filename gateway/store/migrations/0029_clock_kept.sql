-- A node that starts goes on from what the node knew that ran last, whatever its number.
-- oldest_code: 24
ALTER TABLE clock_stretches ADD COLUMN kept_at timestamptz NOT NULL DEFAULT now();
