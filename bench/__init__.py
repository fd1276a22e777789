"""What fan-out costs, beside its peers, in one run: `python -m bench`. Knows processes and clocks; no node's inside."""
