-- What a customer means by data_coding 1, and alphabets spelled as everywhere else.

ALTER TABLE smpp_accounts
    ADD COLUMN ia5_alphabet text NOT NULL DEFAULT 'ascii';

UPDATE smpp_accounts SET alphabet = 'latin-1' WHERE alphabet = 'latin1';
UPDATE smpp_accounts SET alphabet = 'utf-8' WHERE alphabet = 'utf8';
