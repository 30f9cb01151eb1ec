"""A connection to Nix that is renewed now and then: paths that it protects stay protected as long as it lives."""

from __future__ import annotations

import time

from ..nix.client import Client
from ..nix.store import Store

RENEW_SECONDS = 600.0


class RenewedClient:
    """The connection of one thread. `get()` opens it, and replaces it if it has ended or is old."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._client: Client | None = None
        self._opened = 0.0
        self.aborted = False
        """Whether `abort` ended the last operation."""

    def get(self) -> Client:
        """Return the connection. Raises as `Store.connect` does."""
        client = self._client
        if client is not None and (self.aborted or client.closed or time.monotonic() - self._opened > RENEW_SECONDS):
            self.close()
        if self._client is None:
            self._client = self._store.connect()
            self._opened = time.monotonic()
            self.aborted = False
        return self._client

    def abort(self) -> None:
        """End the running operation, from another thread."""
        client = self._client
        if client is not None:
            self.aborted = True
            client.abort()

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None
