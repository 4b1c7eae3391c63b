-- Of two events' states the one that is reached later on every way that segments can go, whatever
-- the events' times say: the clock may have been set between them (`lifecycle.py`). The severest end
-- comes last: 15 canceled, 13 rejected, 11 undelivered, 12 expired, 14 deleted, 10 delivered, and
-- 16 unknown gives way to all of them.
CREATE OR REPLACE FUNCTION status_rank(status smallint) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN status < 10 THEN status
            ELSE (ARRAY[15, 18, 17, 19, 16, 20, 14])[status - 9] END;
