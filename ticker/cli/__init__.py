"""The command line. Knows options and exit statuses; what is done is done elsewhere.

Exit status: 0 done · 1 the node refused · 2 wrong usage or configuration · 3 the node can't be reached.
Words and values that break a line's rules are wrong usage, however they are given: nothing is sent. Whether
there is such a channel, line or key, and who may change it, the node knows alone.

Rule 1: a command is loaded when it is called (main.py).
Rule 2: what a command needs and others don't, it loads when it runs: the node's parts, or the client of one. Each takes
        longer to load than most commands to run.
"""
