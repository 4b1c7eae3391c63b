-- Which release has written settings: another one goes on with what it has when it can't read them.
-- oldest_code: 24
ALTER TABLE settings ADD COLUMN written_by text;  -- NULL: one that did not say
