-- Nodes of accounts and of services. A node's number is never used twice, so that what is left of
-- those of a deleted account is out of reach.
CREATE TABLE pubsub_nodes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    created INTEGER NOT NULL,
    format INTEGER NOT NULL,
    config BLOB NOT NULL,
    UNIQUE (account_id, node)
) STRICT;

CREATE TABLE pubsub_items (
    seq INTEGER PRIMARY KEY, -- those of a node in the order of their commits
    node_id INTEGER NOT NULL,
    id TEXT NOT NULL,
    publisher TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (node_id, id)
) STRICT;
CREATE INDEX pubsub_items_in_order ON pubsub_items (node_id, seq);

CREATE TABLE pubsub_affiliations (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL, -- the node's owner
    node_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    affiliation TEXT NOT NULL,
    UNIQUE (node_id, jid)
) STRICT;
CREATE INDEX pubsub_affiliations_by_jid ON pubsub_affiliations (account_id, jid);

CREATE TABLE pubsub_subscriptions (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL, -- the node's owner
    node_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    subid TEXT NOT NULL,
    state TEXT NOT NULL,
    format INTEGER, -- NULL: there are no options
    options BLOB,
    expires_at INTEGER,
    UNIQUE (node_id, jid, subid)
) STRICT;
CREATE INDEX pubsub_subscriptions_by_jid ON pubsub_subscriptions (account_id, jid);
