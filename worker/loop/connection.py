"""A connection to Nix that is renewed now and then: what it protects stays protected as long as it lives."""

from __future__ import annotations

import time

from ..nix.client import Client
from ..nix.store import Store

RENEW_SECONDS = 600.0


class RenewedClient:
    """The connection of one thread. `get()` opens it, or opens a new one when the old one has ended or is old."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._client: Client | None = None
        self._opened = 0.0
        self.aborted = False
        """Whether what was last done over it was ended by `abort`."""

    def get(self) -> Client:
        """The connection. Raises as `Store.connect` does."""
        client = self._client
        if client is not None and (self.aborted or client.closed or time.monotonic() - self._opened > RENEW_SECONDS):
            self.close()
        if self._client is None:
            self._client = self._store.connect()
            self._opened = time.monotonic()
            self.aborted = False
        return self._client

    def abort(self) -> None:
        """End what is running on it, from another thread."""
        client = self._client
        if client is not None:
            self.aborted = True
            client.abort()

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None
