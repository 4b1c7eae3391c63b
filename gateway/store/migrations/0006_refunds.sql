-- What is given back after it was posted, and what a carrier charges for what it took.

ALTER TABLE events
    ADD COLUMN cost_micros     bigint,  -- of a segment that the carrier took; NULL: nobody knows
    ADD COLUMN refunded_micros bigint;  -- of a refund (kind 11); NULL: it is none

-- However often it is said, and by whichever node: a segment is refunded once. Only refunds stand
-- in the index, so other events pay no more than a look at their kind.
CREATE UNIQUE INDEX events_refunded_once ON events (account_id, message_id, segment)
    WHERE kind = 11;

-- What was posted stays posted; what of it was refunded stands beside it.
ALTER TABLE postings ADD COLUMN refunded_micros bigint NOT NULL DEFAULT 0;
ALTER TABLE retired ADD COLUMN refunded_micros bigint NOT NULL DEFAULT 0;
