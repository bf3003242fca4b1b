"""Every failing model of a cluster, or of one namespace, one line each, worst first: `triton-triage load-failure -A`."""
