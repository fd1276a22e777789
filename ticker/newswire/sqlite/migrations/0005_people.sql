-- People, and the desk's sessions. Editors sign in again.
CREATE TABLE person (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE session (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
DELETE FROM secret WHERE name LIKE 'session:%';         -- where sessions were kept before
