"""The worker process, and its place beside Hydra."""
