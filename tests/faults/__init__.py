"""Promises about faults: kills, lost connections, full disks, hostile callers and derivations."""
