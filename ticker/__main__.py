"""`python -m ticker`."""

from ticker.cli.main import main

main(prog_name="ticker")
