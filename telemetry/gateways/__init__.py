"""What stands in front of Triton, as a Prometheus shows it: `kind` says which families and labels, `queries` what to ask, `source`
asks once a tick, and `window` and `reading` (pure) make of the answers what each gateway did for each workload."""
