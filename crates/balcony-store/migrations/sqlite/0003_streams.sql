-- Streams that can be resumed.
CREATE TABLE streams (
    id BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL,
    handled INTEGER NOT NULL, -- unless the log has it
    expires_at INTEGER NOT NULL,
    format INTEGER, -- NULL: there is no state
    state BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_by_account ON streams (account_id);
CREATE INDEX streams_by_expiry ON streams (expires_at);
CREATE INDEX streams_kept ON streams (id) WHERE format IS NOT NULL;

-- Counts of handled stanzas, the last of each stream being right. There is one for each message
-- that a client sends: to change it in place would write a page for each.
CREATE TABLE stream_log (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    handled INTEGER NOT NULL
) STRICT;
