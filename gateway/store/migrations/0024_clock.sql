-- What each node knows of its clock (`passed.py`): how long it has run, and since when, by that,
-- the time of day was so far ahead. `noted_s` counts in the last row of a node alone.
CREATE TABLE clock_stretches (
    node    smallint NOT NULL,
    begun_s double precision NOT NULL,
    seen_s  double precision NOT NULL,
    ahead_s double precision NOT NULL,
    noted_s double precision NOT NULL,
    PRIMARY KEY (node, begun_s)
);
