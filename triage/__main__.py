"""`python -m triage` is `triton-triage`."""

from triage.cli import main

main(prog_name="triton-triage")
