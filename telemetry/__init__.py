"""What both programs read: Triton's metrics, Kubernetes, and the HPA's algorithm."""
