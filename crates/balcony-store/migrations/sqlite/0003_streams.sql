-- Streams that can be resumed. The id is random, so no order is lost by keeping them by it.
CREATE TABLE streams (
    id BLOB PRIMARY KEY,
    account_id INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    format INTEGER,
    state BLOB,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_by_expiry ON streams (expires_at);
CREATE INDEX streams_by_account ON streams (account_id);
