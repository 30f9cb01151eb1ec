"""The worker process: concerns that run side by side, each in a thread of its own, until the worker stops them."""
