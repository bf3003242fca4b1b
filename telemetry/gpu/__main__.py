"""`python -m telemetry.gpu` is `triton-gpu-agent`."""

from telemetry.gpu.cli import main

main(prog_name="triton-gpu-agent")
