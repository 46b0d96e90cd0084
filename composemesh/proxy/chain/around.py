"""The hook that holds a request in its hands: what comes before and after is its own, and so is the waiting.

Its time outside `then()` has a bound; `then()` itself takes as long as the request does, which others limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from composemesh.proxy.refuse import Reply
from composemesh.runtime.failures import Mistaken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from composemesh.proxy.alarm import Alarms
    from composemesh.proxy.chain.hooks import Stage
    from composemesh.proxy.exchange import Exchange


async def around(
    hook: Callable[..., Awaitable[None]],
    stage: Stage,
    x: Exchange,
    alarms: Alarms,
    further: Callable[[], Awaitable[None]],
) -> None:
    """Have `hook` see the exchange through, `further` being the rest of the way. Raises as that does, and Refused.

    What goes wrong on the rest of the way wins over what the filter makes of it: it may have wrapped it into a group,
    or kept it to itself.
    """
    began = ended = False
    trouble: Exception | None = None
    scope = trio.CancelScope()
    alarm = alarms.set(stage.use.timeout, scope.cancel)

    async def then() -> None:
        nonlocal began, ended, trouble, alarm
        if began:
            raise Mistaken("it called then() twice")
        began = True
        alarm.off()
        try:
            await further()
            ended = True
        except Exception as problem:
            trouble = problem
            raise
        finally:
            alarm = alarms.set(stage.use.timeout, scope.cancel)

    failure: BaseException
    try:
        with scope:
            await hook(x.view, then)
        if ended and not scope.cancelled_caught:
            return
        if scope.cancelled_caught:
            failure = Mistaken(f"its around took longer than {stage.use.timeout:g} s outside then()")
        else:
            failure = Mistaken("its around returned without calling then() or raising Reply")
    except (Exception, SystemExit) as problem:
        failure = problem
    finally:
        alarm.off()
    if trouble is not None:
        raise trouble
    if ended:
        if not isinstance(failure, Reply):
            stage.count(failure, x)  # the answer has been sent, whole: there is nothing left to refuse
        return
    stage.caught(failure, x, fatal=began)
    await further()
