"""The recorder of the model repository: fingerprints of configurations and files over time, so that a change has a time."""
