"""`triton-gpu-agent`: which pod uses which GPU, and how much. What NVML and the kubelet say becomes a snapshot (pure), a snapshot
becomes Prometheus families (pure); around them a thin shell that asks both, each with a deadline."""
