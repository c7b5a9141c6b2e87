"""Where a device runs, and the account that it is bound to."""

from __future__ import annotations

import pytest
from conftest import Opener
from registry import Registry

from device_registry import Account, AccountNotBound, BoundAccount, Credentials, InvalidValue, OwnerClient, Program, Terminal


def test_the_owner_sees_where_a_device_runs(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    device = open_device(registry.url, credentials)
    assert owner.device(device.id).context is None
    account = Account("123456", "MetaQuotes-Demo", "demo")
    assert device.set_context(account) is None
    program = Program("Scalper", "1.2", symbol="EURUSD", magic="7")
    device.set_context(account, terminal=Terminal("MetaTrader 5", "4755"), program=program)
    context = owner.device(device.id).context
    assert context is not None
    assert (context.account, context.program) == (account, program)
    assert context.terminal is not None
    assert context.terminal.build == "4755"
    assert owner.events(types=["device.context_changed"]).events
    with pytest.raises(InvalidValue):
        device.set_context(Account("123456", "MetaQuotes-Demo", "toy"))


def test_a_bound_device_polls_on_its_account_alone(
    registry: Registry, owner: OwnerClient, credentials: Credentials, open_device: Opener
) -> None:
    device = open_device(registry.url, credentials)
    bound = BoundAccount("123456", "MetaQuotes-Demo")
    assert owner.update(device.id, bound_account=bound).bound_account == bound
    with pytest.raises(AccountNotBound) as caught:
        device.poll()
    assert (caught.value.status, caught.value.is_signed) == (403, True)
    device.set_context(Account("654321", "MetaQuotes-Demo", "demo"))
    with pytest.raises(AccountNotBound):
        device.poll()
    assert device.whoami().id == device.id
    device.set_context(Account("123456", "MetaQuotes-Demo", "demo"))
    assert device.poll().signals == ()
    assert owner.update(device.id, bound_account=None).bound_account is None
