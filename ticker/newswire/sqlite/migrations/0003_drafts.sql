-- Drafts, the desk's lock, and of each event who did it by id and by which way.
ALTER TABLE event ADD COLUMN act BLOB;                  -- NULL: kept by an older version, which knew a name alone
ALTER TABLE once ADD COLUMN draft TEXT;                 -- the id of the draft that was answered; the body is empty then
CREATE TABLE draft (
    channel TEXT NOT NULL, id TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL, updated INTEGER NOT NULL, -- microseconds since 1970: the older one goes out first
    due INTEGER,                                        -- milliseconds; NULL unless it is scheduled
    body BLOB NOT NULL,
    PRIMARY KEY (channel, id)
) WITHOUT ROWID;
CREATE INDEX draft_due ON draft (due, created, id) WHERE due IS NOT NULL;
CREATE INDEX draft_state ON draft (channel, state, updated);
CREATE TABLE lock (channel TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
