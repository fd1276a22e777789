"""Fan-out inside one node. Knows readers and bytes; knows no newswire backend and no HTTP."""
