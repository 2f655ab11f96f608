-- Append-only: rows of many accounts share pages, and each is written once. AUTOINCREMENT, so that
-- an id never stands for another message than before.
CREATE TABLE archive (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL, -- never smaller than in the row before
    peer TEXT NOT NULL,
    message_id TEXT,
    incoming INTEGER NOT NULL,
    format INTEGER NOT NULL,
    stanza BLOB NOT NULL
) STRICT;

-- Where an account's messages are. An entry written at once into the index of all messages would
-- make each commit write a page for each account in it; so the newest stand in a small index, and
-- are moved to the large one many at a time. An account's entries in the small index are newer
-- than all it has in the large one.
CREATE TABLE archive_recent (
    account_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    peer_hash INTEGER NOT NULL, -- of the bare JID
    size INTEGER NOT NULL,
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE archive_index (
    account_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    peer_hash INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

-- Of what stands in the large index.
CREATE TABLE archive_totals (
    account_id INTEGER PRIMARY KEY,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL
) STRICT;

-- Up to which message what came was taken by a client, or queued.
CREATE TABLE archive_delivered (
    account_id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;

CREATE TABLE archive_prefs (
    account_id INTEGER PRIMARY KEY,
    fallback TEXT NOT NULL,
    always TEXT NOT NULL, -- netstrings
    never TEXT NOT NULL
) STRICT;

-- What the server knows of itself: whether it was laid down in order, and the last message that
-- needs no look after a crash.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A row may stand for a message of the archive; then its own stanza is empty.
ALTER TABLE offline ADD COLUMN archive_seq INTEGER;
ALTER TABLE offline ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
UPDATE offline SET size = length(stanza);
CREATE INDEX offline_by_archive ON offline (archive_seq) WHERE archive_seq IS NOT NULL;
