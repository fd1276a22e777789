-- The tables of version 0.1.0.
CREATE TABLE channel (
    slug TEXT PRIMARY KEY,
    ms INTEGER NOT NULL, n INTEGER NOT NULL             -- its last event; outlives trimming
) WITHOUT ROWID;
CREATE TABLE event (
    channel TEXT NOT NULL, ms INTEGER NOT NULL, n INTEGER NOT NULL,
    prev TEXT, line_ms INTEGER NOT NULL, line_n INTEGER NOT NULL,
    by TEXT NOT NULL, body BLOB NOT NULL,               -- the whole line, as this event left it
    PRIMARY KEY (channel, ms, n)
) WITHOUT ROWID;
CREATE INDEX event_line ON event (channel, line_ms, line_n);
CREATE TABLE line (
    channel TEXT NOT NULL, ms INTEGER NOT NULL, n INTEGER NOT NULL,
    status TEXT NOT NULL, pinned INTEGER NOT NULL,
    expires INTEGER, updated INTEGER NOT NULL,          -- milliseconds since 1970
    body BLOB NOT NULL,
    PRIMARY KEY (channel, ms, n)
) WITHOUT ROWID;
CREATE INDEX line_board ON line (channel, status, pinned, ms, n);
CREATE TABLE once (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL,
    at INTEGER NOT NULL, body BLOB NOT NULL             -- seconds since 1970; the line as answered
) WITHOUT ROWID;
CREATE INDEX once_at ON once (at);
CREATE TABLE secret (name TEXT PRIMARY KEY, until INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE key (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
