-- Streams that can be resumed. The count of handled stanzas is in no index: a commit changes one
-- place.
CREATE TABLE streams (
    id BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    format INTEGER, -- NULL: there is no state
    state BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_by_account ON streams (account_id);
CREATE INDEX streams_by_expiry ON streams (expires_at);
CREATE INDEX streams_kept ON streams (id) WHERE format IS NOT NULL;
