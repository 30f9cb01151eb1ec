"""A farm under random damage, for as long as one likes."""
