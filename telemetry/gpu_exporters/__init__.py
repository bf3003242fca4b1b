"""GPUs as dcgm-exporter or `triton-gpu-agent` tell of them: their pages, through a Prometheus or asked directly, become devices
(pure), devices become a snapshot (pure). What the agent itself sees and serves is `telemetry.gpu_agent`."""
