"""`python -m ticker`."""

from ticker.cli import main

main(prog_name="ticker")
