-- Several nodes on one database: which run, what only one of them may do and which that is, and how
-- messages reach the node that has their carrier.

-- One row a node's number. A claim of it is an epoch; whatever belongs to an epoch is free as soon
-- as that has ended. All times are this server's: nodes compare no clocks.
CREATE TABLE node_leases (
    node       smallint PRIMARY KEY CHECK (node BETWEEN 0 AND 1023),
    epoch      bigint NOT NULL,
    claimed    boolean NOT NULL,                   -- false: given up, or ended by another node
    ready      boolean NOT NULL DEFAULT false,     -- it has started and is not stopping
    expires_at timestamptz NOT NULL,
    claimed_at timestamptz NOT NULL,
    quiet_at   timestamptz NOT NULL DEFAULT 'epoch',  -- nothing was sent after it by ended epochs
    process    text NOT NULL,                      -- which process has it, for those on its machine
    place      text NOT NULL                       -- the same for people
) WITH (fillfactor = 50);

-- What only one node may do: speak to a carrier ("carrier:ID"), a duty ("duty:NAME").
ALTER TABLE leases RENAME TO former_leases;
CREATE TABLE leases (
    name     text CONSTRAINT leases_have_one_name PRIMARY KEY,
    node     smallint,                             -- NULL: nobody's
    epoch    bigint,                               -- of that node; it has ended: nobody's
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    usable   boolean NOT NULL DEFAULT false,       -- whether its owner can send there
    quiet_at timestamptz NOT NULL DEFAULT 'epoch'  -- nothing was sent under it after that
) WITH (fillfactor = 50);

-- The one owner of all carriers, if there is one, is the first node: its process finds that it has
-- lost its lease and its writers, and whoever comes next waits for it as for any node.
INSERT INTO node_leases (node, epoch, claimed, expires_at, claimed_at, quiet_at, process, place)
SELECT 0, epoch, held, expires_at, expires_at, quiet_at, process, ''
FROM former_leases WHERE name = 'carriers';
INSERT INTO leases (name, node, epoch)
SELECT 'carrier:' || c.id, n.node, n.epoch FROM carriers c CROSS JOIN node_leases n;
DROP TABLE former_leases;
UPDATE writers SET name = name || '-0' WHERE name IN ('intake', 'outcomes');

-- Messages that a node has accepted, or has no use for, and whose carrier is another's.
CREATE TABLE arrivals (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    carrier_id  smallint NOT NULL,
    account_ids integer[] NOT NULL,
    message_ids bigint[] NOT NULL
);
CREATE INDEX arrivals_of_carrier ON arrivals (carrier_id, id);

-- What a node asks of the one that has a message: to withdraw it, to exchange its text.
CREATE TABLE errands (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    carrier_id smallint NOT NULL,
    account_id integer NOT NULL,
    message_id bigint NOT NULL,
    kind       text NOT NULL,
    asked      bytea NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_at   timestamptz,
    answer     bytea
);
CREATE INDEX errands_of_carrier ON errands (carrier_id, id) WHERE taken_at IS NULL;
