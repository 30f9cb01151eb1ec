"""What tests use: farms, databases, faults, graphs. No tests."""
