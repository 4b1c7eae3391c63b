-- What an account is sold by (a plan of the settings), and what it pays for: segments that were
-- submitted or those that were delivered; empty: as its plan says.
ALTER TABLE accounts
    ADD COLUMN plan text NOT NULL DEFAULT '',
    ADD COLUMN bill text NOT NULL DEFAULT '' CHECK (bill IN ('', 'submitted', 'delivered'));
