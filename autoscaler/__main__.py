"""`python -m autoscaler` is `triton-autoscaler`."""

from autoscaler.cli import main

main(prog_name="triton-autoscaler")
