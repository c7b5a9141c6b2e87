"""How often to repeat a request that failed temporarily, and how long to wait between attempts."""

from __future__ import annotations

import dataclasses
import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ._errors import DeviceSuspended, IdempotencyInProgress, InvalidArgument, Problem, RegistryError
from ._messages import Answer, Call
from ._steps import Exchange, Pause, Steps

_MAXIMUM_DOUBLINGS = 20
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to repeat a request that failed temporarily."""

    never: ClassVar[RetryPolicy]
    """No retries."""

    maximum_attempts: int = 4
    """Attempts of one request, the first included."""
    first_pause_seconds: float = 0.25
    """The pause after the first failure. Each further one is twice as long."""
    maximum_pause_seconds: float = 30.0
    """The longest pause."""
    maximum_retry_after_seconds: int = 120
    """The longest `Retry-After` that is respected; a longer one is cut to this."""

    def pause_seconds(self, failures: int, retry_after_seconds: int | None = None) -> float:
        """The pause after a number of failures in a row. Half of it is random, so that devices that failed together do not
        return together; for the same reason it is added to `Retry-After`."""
        doublings = min(max(failures - 1, 0), _MAXIMUM_DOUBLINGS)
        longest = min(max(self.first_pause_seconds, 0.0) * 2.0**doublings, max(self.maximum_pause_seconds, 0.0))
        required = min(max(retry_after_seconds or 0, 0), max(self.maximum_retry_after_seconds, 0))
        # Not for security: the pauses of devices must only differ.
        return required + longest / 2 + random.uniform(0, longest / 2)  # noqa: S311


RetryPolicy.never = RetryPolicy(maximum_attempts=1)


def perform(
    policy: RetryPolicy, call: Call, again: Callable[[RegistryError], bool] = lambda error: error.is_transient
) -> Steps[Answer]:
    """Repeats a request until an attempt succeeds, fails permanently, or is the last. The answer is a success."""
    failures = 0
    while True:
        try:
            return (yield from _attempt(call))
        except RegistryError as error:
            failures += 1
            if not again(error) or failures >= policy.maximum_attempts:
                raise
            failure = error
        yield Pause(policy.pause_seconds(failures, failure.retry_after_seconds))


def create(policy: RetryPolicy, call: Call, idempotency_key: str | None) -> Steps[Answer]:
    """A request that creates something. With a key, repeating it does nothing again, so it is retried like any other, with
    the same key. Without one, it is retried only if the registry certainly did nothing."""
    if idempotency_key is None:
        return perform(policy, call, lambda error: isinstance(error, Problem) and error.is_refusal_for_now)
    # A line break would start another header field.
    if not isinstance(idempotency_key, str) or not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise InvalidArgument("idempotency_key must be 1 to 64 visible ASCII characters without spaces")
    call = dataclasses.replace(call, fields={**call.fields, "Idempotency-Key": idempotency_key})
    return perform(policy, call, lambda error: error.is_transient or isinstance(error, IdempotencyInProgress))


def until_answered(policy: RetryPolicy, call: Call, on_failure: Callable[[RegistryError], object]) -> Steps[Answer]:
    """Repeats a request until an attempt succeeds or fails permanently, and reports each temporary failure. A suspension that
    has an end is one: the owner may also end it before."""

    def again(error: RegistryError) -> bool:
        is_temporary = error.is_transient or (isinstance(error, DeviceSuspended) and error.until is not None)
        if is_temporary:
            on_failure(error)
        return is_temporary

    return perform(dataclasses.replace(policy, maximum_attempts=sys.maxsize), call, again)


def _attempt(call: Call) -> Steps[Answer]:
    answer: Answer = yield Exchange(call)
    if not answer.is_success:
        raise answer.failure()
    return answer
