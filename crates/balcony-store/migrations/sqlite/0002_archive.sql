-- The messages of all archives in the order of their commits. New rows only come at the end, so a
-- commit of many messages for many accounts writes few pages.
CREATE TABLE archive (
    seq INTEGER PRIMARY KEY, -- the writer counts; never used twice
    account_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL, -- never less than in the row before, of whatever account
    peer TEXT NOT NULL,
    incoming INTEGER NOT NULL, -- 1: the peer wrote it; 0: the account
    message_id TEXT,
    format INTEGER NOT NULL,
    stanza BLOB NOT NULL
) STRICT;

-- Where an account's messages are. Rows come here some time after their commit, many at once and
-- in the order of the accounts; those of one account in the order of their places.
CREATE TABLE archive_index (
    account_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    party INTEGER NOT NULL, -- a hash of the peer
    incoming INTEGER NOT NULL,
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

-- What is in archive_index, summed up.
CREATE TABLE archive_totals (
    account_id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    oldest INTEGER -- received_at of the first row
) STRICT;
CREATE INDEX archive_totals_by_size ON archive_totals (host, byte_count);
CREATE INDEX archive_totals_by_age ON archive_totals (host, oldest);

CREATE TABLE archive_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    indexed INTEGER NOT NULL, -- all rows up to this one are in archive_index
    last_seq INTEGER NOT NULL, -- at least so far the archive got, whatever was deleted since
    last_received_at INTEGER NOT NULL,
    laid_down INTEGER NOT NULL -- the last server stopped in order
) STRICT;
INSERT INTO archive_state VALUES (1, 0, 0, 0, 0);

CREATE TABLE archive_delivered (
    account_id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL -- what came up to here was taken
) STRICT;

CREATE TABLE archive_prefs (
    account_id INTEGER PRIMARY KEY,
    others TEXT NOT NULL, -- for whoever is on neither list
    always TEXT NOT NULL, -- netstrings
    never TEXT NOT NULL
) STRICT;

-- A row that refers to the archive has no stanza of its own.
ALTER TABLE offline ADD COLUMN archive_seq INTEGER;
ALTER TABLE offline ADD COLUMN size INTEGER; -- of the stanza that it refers to
