"""Clients, for administrators."""

from __future__ import annotations

from ._messages import query
from ._models import Client
from ._owner_calls import LONG_PAGE, OwnerCalls, given, path, path_name
from ._runners import operation, stream
from ._steps import Steps, StreamSteps


class ClientRoutes(OwnerCalls):
    """Clients: these calls need a token whose scope includes registry:admin."""

    @operation
    def add_client(
        self,
        *,
        id: str | None = None,
        email: str | None = None,
        telegram_id: int | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Client]:
        """For administrators: adds a client; without an id, with a new UUID. Raises `ClientIDTaken` and `ClientEmailTaken`."""
        body = given(id=id, email=email, telegram_id=telegram_id)
        return self._create(Client, path("clients"), body, idempotency_key)

    @stream
    def clients(self) -> StreamSteps[Client]:
        """For administrators: the clients, oldest first."""
        return self._pages(Client, query(path("clients"), limit=LONG_PAGE))

    @operation
    def client(self, client_id: str) -> Steps[Client]:
        """For administrators: one client. Raises `ClientNotFound`."""
        return self._call(Client, "GET", path("clients", path_name(client_id)))

    @operation
    def delete_client(self, client_id: str) -> Steps[None]:
        """For administrators: deletes a client, its devices and everything that belongs to them. Raises `ClientNotFound`."""
        return self._tell("DELETE", path("clients", path_name(client_id)))
