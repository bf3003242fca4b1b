"""`python -m demo`: the autoscaler on one real Triton under real load, without a cluster."""
