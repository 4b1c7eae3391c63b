-- Receipts that no submission has, to be looked at and tried again; and the rules by which ids were
-- stored, so that a corrected one finds what was stored before it.

ALTER TABLE parked_receipts
    ADD COLUMN id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN raw_id    text NOT NULL DEFAULT '',  -- as the carrier wrote it
    ADD COLUMN recipient text NOT NULL DEFAULT '',
    ADD COLUMN again     smallint NOT NULL DEFAULT 0; -- 1: asked to be tried again, 2: being tried
CREATE INDEX parked_receipts_again ON parked_receipts (id) WHERE again > 0;

CREATE TABLE id_rules (
    carrier_id  smallint NOT NULL REFERENCES carriers,
    since       double precision NOT NULL,    -- it holds until the carrier's next one
    response    text NOT NULL,
    receipt     text NOT NULL,
    strip_zeros boolean NOT NULL,
    PRIMARY KEY (carrier_id, since)
);
