-- Stanzas that wait for servers of other domains. Ids only grow, so that rows are appended.
CREATE TABLE remote_queue (
    id INTEGER PRIMARY KEY,
    domain TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    stanza BLOB NOT NULL
) STRICT;
