-- Accounts have numbers that are never used twice: what belongs to a deleted account is out of
-- reach at once, also for a new account of the same name, and is deleted in slices later.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    user TEXT NOT NULL,
    created INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    roster_version INTEGER NOT NULL,
    roster_horizon INTEGER NOT NULL, -- what changed since older versions is forgotten
    UNIQUE (host, user)
) STRICT;

CREATE TABLE deleted_accounts (
    id INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE scram_keys (
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    stored_key BLOB NOT NULL,
    server_key BLOB NOT NULL,
    PRIMARY KEY (account_id, hash)
) STRICT, WITHOUT ROWID;

-- Clustered by account: a login reads one stretch of pages.
CREATE TABLE roster (
    account_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    version INTEGER NOT NULL,
    subscription TEXT NOT NULL,
    ask INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    name TEXT,
    groups TEXT NOT NULL, -- netstrings: "6:Verona,5:Balls,"
    PRIMARY KEY (account_id, jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE roster_removed (
    account_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (account_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending_in (
    account_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    stanza BLOB NOT NULL,
    PRIMARY KEY (account_id, jid)
) STRICT, WITHOUT ROWID;

-- Append-only with a small index: rows of many accounts share pages. AUTOINCREMENT, so that a
-- delete "up to" a row that is gone can never hit a newer one.
CREATE TABLE offline (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    stanza BLOB NOT NULL
) STRICT;
CREATE INDEX offline_by_account ON offline (account_id);

CREATE TABLE offline_totals (
    account_id INTEGER PRIMARY KEY,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL
) STRICT;

CREATE TABLE private_items (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL,
    ns TEXT NOT NULL,
    name TEXT NOT NULL,
    format INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (account_id, ns, name)
) STRICT;

CREATE TABLE vcards (
    account_id INTEGER PRIMARY KEY,
    photo_sha1 BLOB,
    format INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

CREATE TABLE blocked (
    account_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (account_id, jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_seen (
    account_id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    status TEXT
) STRICT;

CREATE TABLE invites (
    token_hash BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    created_by TEXT,
    expires_at INTEGER NOT NULL,
    uses INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
