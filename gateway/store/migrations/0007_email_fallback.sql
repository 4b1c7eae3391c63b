-- What a message falls back to when it does not reach its phone, for the messages that have that.

ALTER TABLE accounts
    ADD COLUMN fallback text NOT NULL DEFAULT '';  -- the rule, as JSON; empty: none

-- What emails say, once a day and account however many messages share it.
CREATE TABLE email_contents (
    account_id integer NOT NULL,
    id         bytea NOT NULL,
    subject    text NOT NULL,
    body_text  text NOT NULL,
    body_html  text NOT NULL,
    reply_to   text NOT NULL,
    created_at double precision NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX email_contents_by_age ON email_contents USING brin (created_at);

CREATE TABLE email_fallbacks (
    account_id integer NOT NULL,
    message_id bigint NOT NULL,
    content_id bytea NOT NULL,
    address    text NOT NULL,
    triggers   smallint NOT NULL,            -- what causes it, added up (gateway/fallback/terms.py)
    due_at     double precision,             -- NULL: only an event makes it due
    claimed_at double precision,             -- when somebody first began to send it
    attempts   smallint NOT NULL DEFAULT 0,  -- tries that failed
    state      smallint NOT NULL DEFAULT 0,  -- 0 waiting, 1 sent, 2 failed, 3 not needed
    reason     smallint,
    settled_at double precision,
    reply      text NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, message_id)
) WITH (fillfactor = 80);
-- By account, so that each of them gets its turn.
CREATE INDEX email_fallbacks_due ON email_fallbacks (account_id, due_at)
    WHERE state = 0 AND due_at IS NOT NULL;
CREATE INDEX email_fallbacks_by_age ON email_fallbacks USING brin (message_id);
