"""Groups of devices, for their owner."""

from __future__ import annotations

from ._credentials import path_id
from ._messages import query
from ._models import DeviceGroup
from ._owner_calls import LONG_PAGE, OwnerCalls, given, path, path_name
from ._runners import operation, stream
from ._steps import Steps, StreamSteps


class GroupRoutes(OwnerCalls):
    """Groups. A device may be in many."""

    @operation
    def put_group(self, name: str, *, description: str | None = None) -> Steps[DeviceGroup]:
        """Creates a group, or changes its description. A name is 1 to 64 of `A-Za-z0-9._-`. Raises `TooManyGroups`."""
        return self._call(DeviceGroup, "PUT", path("groups", path_name(name)), given(description=description))

    @stream
    def groups(self) -> StreamSteps[DeviceGroup]:
        """The owner's groups, by name."""
        return self._pages(DeviceGroup, query(path("groups"), limit=LONG_PAGE))

    @operation
    def group(self, name: str) -> Steps[DeviceGroup]:
        """One group. Raises `GroupNotFound`."""
        return self._call(DeviceGroup, "GET", path("groups", path_name(name)))

    @operation
    def delete_group(self, name: str) -> Steps[None]:
        """Deletes a group. Its devices stay. Raises `GroupNotFound`."""
        return self._tell("DELETE", path("groups", path_name(name)))

    @operation
    def add_to_group(self, name: str, device_id: str) -> Steps[None]:
        """Puts a device into a group. Repeating it changes nothing. Raises `GroupNotFound`, `DeviceNotFound`, `NotOwner`,
        `DeviceRevoked` and `TooManyGroups`."""
        return self._tell("PUT", path("groups", path_name(name), "devices", path_id(device_id)))

    @operation
    def remove_from_group(self, name: str, device_id: str) -> Steps[None]:
        """Takes a device out of a group. Repeating it changes nothing. Raises `GroupNotFound`, `DeviceNotFound`, `NotOwner`."""
        return self._tell("DELETE", path("groups", path_name(name), "devices", path_id(device_id)))
