"""`triton-autoscaler try`: what a running fleet would be scaled on, seen from outside the cluster."""
