"""The schema: installation, privileges, upgrades, its files."""
