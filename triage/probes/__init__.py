"""Where evidence comes from: logs, a Triton server, a pod of a cluster. Thin: each asks, decodes and says what it could not see."""
