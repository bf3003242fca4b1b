"""A fleet of Triton-like servers in virtual time, for tests: a queueing model, and the evidence that a triage of it would have
collected. See `incidents.py` for what can go wrong in it."""
