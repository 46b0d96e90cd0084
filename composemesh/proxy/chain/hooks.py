"""Filters in their places, bound once: for each hook the functions to call, in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from composemesh.model.flag import Flag
from composemesh.model.problem import Problem, Severity
from composemesh.proxy.chain.around import around
from composemesh.proxy.chain.bodies import FilteredDownstream
from composemesh.proxy.chain.view import View
from composemesh.proxy.refuse import Refused, Reply
from composemesh.runtime.failures import Failures, Mistaken, said

if TYPE_CHECKING:
    from collections.abc import Iterable

    from composemesh.model.filter import FilterUse
    from composemesh.proxy.exchange import Downstream, Exchange

log = structlog.get_logger()


class Stage:
    """A filter in one place: of the mesh, or of a service. Stays for as long as its settings do."""

    __slots__ = ("failures", "filter", "place", "unfit", "use")

    def __init__(self, place: str, use: FilterUse, make: Callable[[], Any]) -> None:
        """`make` makes the filter, and may raise."""
        self.place = place
        """Empty for the whole mesh, else the service."""
        self.use = use
        self.filter: Any = None
        self.unfit = use.missing
        """Why there is no filter."""
        self.failures = Failures("filter", use.name)
        if not self.unfit:
            self._make(make)
        self.failures.last = self.unfit

    def __repr__(self) -> str:
        return f"<Stage {self.use.name} of {self.place or 'the mesh'} failures={self.failures.number}>"

    def _make(self, make: Callable[[], Any]) -> None:
        try:
            self.filter = make()
            check_hooks(self.filter)
        except Mistaken as problem:
            self.unfit = str(problem)
        except (Exception, SystemExit) as problem:
            self.unfit = f"it can't be made: {said(problem)}"
        if self.unfit:
            log.warning("filter unusable", filter=self.use.name, at=str(self.use.origin), problem=self.unfit)

    def hook(self, name: str) -> Any:
        """What the filter does at one point; None for nothing."""
        return getattr(self.filter, name, None)

    def caught(self, problem: BaseException, x: Exchange, *, fatal: bool = False) -> None:
        """Count what a hook has raised. Raises what becomes of the request, unless it goes on without the filter.

        `fatal`: it can't, whatever the settings say.
        """
        if isinstance(problem, Reply):
            if not x.answered:
                raise problem
            problem = Mistaken("it raised Reply when the answer had begun")
        self.count(problem, x)
        if fatal or not self.use.fail_open:
            raise self.refusal() from None

    def refuse(self, _: View) -> None:
        """The hook of a filter that there is not."""
        raise Mistaken(self.unfit)

    def refusal(self) -> Refused:
        return Refused(Flag.FILTER_FAILED, self.use.name)

    def count(self, problem: BaseException, x: Exchange) -> None:
        """One more failure, which the record names, too."""
        x.record.details = f"filter {self.use.name} failed"
        self.failures.count(problem, self.use.origin)

    def problem(self) -> Problem | None:
        """What is wrong with it at this moment."""
        where = f"of service {self.place}" if self.place else "of the mesh"
        becomes = "go on without it" if self.use.fail_open else "are refused"
        origin = self.use.origin
        if not self.unfit:
            return self.failures.problem(f"its requests {becomes}", where, origin)
        message = f"{self.failures} {where}: {self.unfit.rstrip('.')}. Requests {becomes}."
        hint, subject = "Mend the plugin, or take the filter out.", str(self.failures)
        return Problem(Severity.WARNING, "filter-unusable", message, hint, origin.file, origin.line, resource=subject)


class Bound(NamedTuple):
    """One hook, and whose it is."""

    call: Callable[..., Any]
    stage: Stage


class Chain:
    """The filters of one place, in the order written; answers meet them the other way round."""

    __slots__ = ("answers", "arounds", "asks", "light", "request_bodies", "response_bodies", "stages")

    def __init__(self, stages: Iterable[Stage]) -> None:
        self.stages = tuple(stages)
        self.asks = self._bound("on_request")
        self.answers = self._bound("on_response")[::-1]
        self.arounds = self._bound("around")
        self.request_bodies = self._bound("on_request_body")
        self.response_bodies = self._bound("on_response_body")[::-1]
        self.light = not (self.arounds or self.request_bodies or self.response_bodies)
        """Whether it has a say in heads alone, so that nobody ever waits for it."""

    def __repr__(self) -> str:
        return f"<Chain {[stage.use.name for stage in self.stages]}>"

    def _bound(self, name: str) -> tuple[Bound, ...]:
        hooks = []
        for stage in self.stages:
            hook = stage.hook(name)
            if stage.unfit and name == "on_request":
                hook = stage.refuse
            if hook is not None:
                hooks.append(Bound(hook, stage))
        return tuple(hooks)

    def enter(self, x: Exchange, down: Downstream) -> Downstream:
        """Have the filters see the request; returns the caller's end with all that they do to bodies in between.

        Raises Refused where one wants it to end here.
        """
        view = x.view
        if view is None:
            view = x.view = View(x, down)
        if self.answers:
            view.answers = self.answers + view.answers if view.answers else self.answers
        for hook, stage in self.asks:
            try:
                hook(view)
            except (Exception, SystemExit) as problem:
                stage.caught(problem, x)
        if self.request_bodies or self.response_bodies:
            down = x.via = FilteredDownstream(x, down, self.request_bodies, self.response_bodies)
            down.take(x)
        return down

    async def surround(self, x: Exchange, down: Downstream, onward: Callable[[], Awaitable[None]]) -> None:
        """Have the rest of the way gone inside the filters that hold it in their hands. Raises as `onward` does."""
        await self._inside(0, x, down, onward)

    async def _inside(
        self, number: int, x: Exchange, down: Downstream, onward: Callable[[], Awaitable[None]]
    ) -> None:
        if number == len(self.arounds):
            await onward()
            return

        async def further() -> None:
            await self._inside(number + 1, x, down, onward)

        hook, stage = self.arounds[number]
        await around(hook, stage, x, down.reactor.alarms, further)


def check_hooks(made: Any) -> None:
    """Raises Mistaken for hooks that could not work."""
    for name in ("on_request", "on_response", "on_request_body", "on_response_body"):
        if iscoroutinefunction(getattr(made, name, None)):
            raise Mistaken(f"its {name} is a coroutine function, and must be a plain one: whoever waits has `around`")
    hook = getattr(made, "around", None)
    if hook is not None and not iscoroutinefunction(hook):
        raise Mistaken("its around is a plain function, and must be a coroutine function")
