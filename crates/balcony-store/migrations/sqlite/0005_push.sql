-- Where notifications go. A handful for each account, looked up by the account alone; the node is
-- empty where the client named none.
CREATE TABLE push (
    account_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    node TEXT NOT NULL,
    format INTEGER,
    options BLOB,
    resource TEXT NOT NULL,
    created INTEGER NOT NULL,
    disabled TEXT,
    PRIMARY KEY (account_id, jid, node)
) STRICT, WITHOUT ROWID;
