"""The one error of this package."""


class EmbeddedError(Exception):
    """Something that the embedded database or store needs is not there; the message says what to do."""
