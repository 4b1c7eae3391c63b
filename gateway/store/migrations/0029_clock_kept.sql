-- A node that starts goes on from what the node knew that ran last, whatever its number.
ALTER TABLE clock_stretches ADD COLUMN kept_at timestamptz NOT NULL DEFAULT now();
