"""A farm under random damage, for as long as the caller likes."""
