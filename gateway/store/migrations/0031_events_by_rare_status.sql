-- A page by a rare final status is answered from the index alone: with the time and the carrier in
-- it, no event's row is read where a day is vacuumed. `status + 0` keeps the planner from
-- events_by_status, which is narrower and looks cheaper to it: that one is the release before's,
-- whose queries say `status > 10`. It goes once no release that says so may run.
-- oldest_code: 30
CREATE INDEX CONCURRENTLY events_by_rare_status ON events (account_id, status, message_id)
    INCLUDE (at, carrier_id) WHERE status + 0 > 10;
