"""Why requests are slow: what moved, when, where, and what it points to."""
