"""Clients, for administrators."""

from __future__ import annotations

from ._messages import query
from ._models import Client
from ._owner_calls import LONG_PAGE, UNCHANGED, OwnerCalls, changes, given, path, path_name
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
        max_devices: int | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[Client]:
        """For administrators: adds a client; without an id, with a new UUID. Raises `ClientIDTaken` and `ClientEmailTaken`."""
        body = given(id=id, email=email, telegram_id=telegram_id, max_devices=max_devices)
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
    def update_client(
        self,
        client_id: str,
        *,
        email: str | None = UNCHANGED,
        telegram_id: int | None = UNCHANGED,
        max_devices: int | None = UNCHANGED,
    ) -> Steps[Client]:
        """For administrators: changes a client; None removes a value. Raises `ClientNotFound` and `ClientEmailTaken`."""
        body = changes(email=email, telegram_id=telegram_id, max_devices=max_devices)
        return self._call(Client, "PATCH", path("clients", path_name(client_id)), body)

    @operation
    def suspend_client(self, client_id: str, *, reason: str | None = None) -> Steps[Client]:
        """For administrators: refuses a client's tokens and devices until it is resumed. Raises `ClientNotFound`."""
        return self._call(Client, "POST", path("clients", path_name(client_id), "suspend"), given(reason=reason))

    @operation
    def resume_client(self, client_id: str, *, reason: str | None = None) -> Steps[Client]:
        """For administrators: ends the suspension of a client. Raises `ClientNotFound`."""
        return self._call(Client, "POST", path("clients", path_name(client_id), "resume"), given(reason=reason))

    @operation
    def delete_client(self, client_id: str) -> Steps[None]:
        """For administrators: deletes a client, its devices and everything that belongs to them. Raises `ClientNotFound`."""
        return self._tell("DELETE", path("clients", path_name(client_id)))
