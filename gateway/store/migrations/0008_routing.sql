-- Whose subscriber a number is, and which numbers nobody could be reached by.

CREATE TABLE operator_prefixes (
    prefix  text PRIMARY KEY,              -- the beginning of a number in international form
    mcc     text NOT NULL,
    mnc     text NOT NULL,                 -- two or three digits; zeros in front count
    name    text NOT NULL DEFAULT '',
    country text NOT NULL DEFAULT ''
);

-- A row a ported number, by the million. No MCC begins with 0, so MCC and MNC together are a number
-- of five or six digits.
CREATE TABLE ported_numbers (
    number   bigint PRIMARY KEY,
    operator integer NOT NULL
);

-- Nodes keep both in memory and ask every few seconds whether one has changed.
CREATE TABLE operator_versions (
    name    text PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO operator_versions VALUES ('prefixes', 1), ('ported', 1);
CREATE FUNCTION advance_operator_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE operator_versions SET version = version + 1 WHERE name = TG_ARGV[0];
    RETURN NULL;
END $$;
CREATE TRIGGER prefixes_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON operator_prefixes
    FOR EACH STATEMENT EXECUTE FUNCTION advance_operator_version('prefixes');
CREATE TRIGGER ported_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ported_numbers
    FOR EACH STATEMENT EXECUTE FUNCTION advance_operator_version('ported');

-- Counts, not numbers: nobody can be found by it.
CREATE TABLE ineligible (
    day        date NOT NULL,              -- UTC
    account_id integer NOT NULL,
    country    text NOT NULL,              -- '' where no calling code told it
    reason     text NOT NULL,
    count      bigint NOT NULL,
    PRIMARY KEY (day, account_id, country, reason)
);
