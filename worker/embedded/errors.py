"""The one error of this package."""


class EmbeddedError(Exception):
    """The embedded database or store lacks something that it needs; the message says what to do."""
