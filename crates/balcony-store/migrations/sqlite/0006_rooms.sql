-- What has an archive and the like without being an account lies among them, under its JID: 1 a
-- room, 2 a service, which is a domain and has no localpart. 0: an account.
ALTER TABLE accounts ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
CREATE INDEX accounts_of_nobody ON accounts (host, user) WHERE kind <> 0;

CREATE TABLE rooms (
    account_id INTEGER PRIMARY KEY,
    format INTEGER NOT NULL,
    config BLOB NOT NULL,
    subject_format INTEGER, -- NULL: there is no subject
    subject BLOB
) STRICT;

CREATE TABLE room_affiliations (
    account_id INTEGER NOT NULL,
    jid TEXT NOT NULL,
    affiliation TEXT NOT NULL,
    nick TEXT,
    reason TEXT,
    PRIMARY KEY (account_id, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX room_affiliations_by_jid ON room_affiliations (jid, affiliation);
CREATE INDEX room_affiliations_by_nick ON room_affiliations (account_id, nick)
    WHERE nick IS NOT NULL;
