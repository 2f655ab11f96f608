-- What clients log in by without the password. A handful for each account; the columns of the new
-- token are filled while the client has not shown yet that it got it.
CREATE TABLE tokens (
    account_id INTEGER NOT NULL,
    client TEXT NOT NULL,
    software TEXT,
    device TEXT,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    password INTEGER,
    mechanism TEXT,
    secret TEXT,
    issued INTEGER,
    expires INTEGER,
    count INTEGER,
    new_mechanism TEXT,
    new_secret TEXT,
    new_issued INTEGER,
    new_expires INTEGER,
    new_count INTEGER,
    PRIMARY KEY (account_id, client)
) STRICT, WITHOUT ROWID;
-- By which those go that nobody uses any more.
CREATE INDEX tokens_by_use ON tokens (used, account_id);
