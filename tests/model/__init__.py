"""A model of the state machine, and random calls that are compared with it."""
