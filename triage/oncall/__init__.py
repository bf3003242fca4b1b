"""The on-call service: an alert becomes one incident with a record, a verdict and a thread."""
