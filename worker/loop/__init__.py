"""The worker process: concerns that run side by side, each in a thread of its own, until they are told to stop."""
