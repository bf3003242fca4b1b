"""Triton signals, evaluated and served to the Horizontal Pod Autoscaler as external metrics."""
