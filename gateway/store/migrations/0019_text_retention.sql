-- Texts that are kept for less long than their messages: a day's partition is written anew without
-- them. What still needs its text then is named here until it does not.

CREATE TABLE days_without_texts (
    day date PRIMARY KEY,
    at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE needed_texts (
    account_id integer NOT NULL,
    message_id bigint NOT NULL,
    PRIMARY KEY (account_id, message_id)
);
