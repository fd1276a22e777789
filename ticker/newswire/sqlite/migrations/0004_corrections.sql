-- The public ledger of corrections. It is filled from the history while the node runs.
CREATE TABLE correction (
    channel TEXT NOT NULL, ms INTEGER NOT NULL, n INTEGER NOT NULL, -- the cursor of the event that made it
    body BLOB NOT NULL,
    PRIMARY KEY (channel, ms, n)
) WITHOUT ROWID;
CREATE TABLE ledger (channel TEXT PRIMARY KEY, upto TEXT NOT NULL) WITHOUT ROWID; -- the last event that was looked at
