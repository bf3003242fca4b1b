"""`python -m telemetry.gpu_agent` is `triton-gpu-agent`."""

from telemetry.gpu_agent.cli import main

main(prog_name="triton-gpu-agent")
