-- Rows of arrivals live for milliseconds, and come with every commit for another node's carrier.
-- oldest_code: 30
-- stop_first: nodes hand carriers to each other from here on; older ones go on sending for any they give up
ALTER TABLE arrivals SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
