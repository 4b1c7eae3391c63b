-- Settings as they are applied, nodes as they run them, and carriers that are drained by hand.

-- Every version that was applied, the last ones kept. The tree is the file's, as JSON: references
-- to secrets are not followed, so that each node follows them itself.
CREATE TABLE settings (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    author     text NOT NULL,
    source     text NOT NULL,                 -- the file's name, and how it came in
    tree       text NOT NULL,
    refused    text                           -- why a node could not use it; then it never holds
);

-- One row a node, kept fresh while it runs.
CREATE TABLE nodes (
    node            smallint PRIMARY KEY,
    started_at      timestamptz NOT NULL DEFAULT now(),
    seen_at         timestamptz NOT NULL DEFAULT now(),
    version         integer NOT NULL DEFAULT 0,  -- of the settings that it runs; 0: none of these
    report          text NOT NULL DEFAULT '{}'   -- how its carriers are, as JSON
) WITH (fillfactor = 50);

ALTER TABLE carriers
    ADD COLUMN drained_at   timestamptz,      -- NULL: it takes messages
    ADD COLUMN drained_by   text,
    ADD COLUMN drain_reason text;
