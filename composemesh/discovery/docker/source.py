"""When to ask the engine: after each of its events about the project, and now and then in case one was missed.

Events only say where to look; what is there, the engine is asked anew each time. So it does not matter in what order
they come, whether one comes twice, or which of several changes an answer already shows. Two things cannot wait for an
answer, and the ledger sees to them: a container that was told to stop is drained while it still works, and one that
ended is taken out at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import structlog
import trio

from composemesh.discovery.docker.client import DockerClient, EngineError, EngineSilent, EngineUnreachable
from composemesh.discovery.docker.ledger import IDENTITY, Ledger, Seen
from composemesh.discovery.docker.translate import PROJECT, claims, image_of, labels_of, stop_of, translate
from composemesh.model.workload import Discovered
from composemesh.runtime.groups import leaves

log = structlog.get_logger()

EVENTS = {
    "type": ("container", "network"),
    "event": (
        *("start", "die", "kill", "stop", "pause", "unpause", "rename", "destroy", "oom", "health_status"),
        *("connect", "disconnect"),
    ),
}
"""What the engine is to tell. Its filter by label would also drop network events, which carry no labels."""
RELIST_EVERY = 30.0
"""Seconds between two looks at everything: the net under a missed event, and the test of an engine that hangs."""
RELIST_PAUSE = 1.0
"""Seconds at least between two such looks; doubled each time while a container cannot be looked at."""
PATIENCE = 0.5
"""Seconds after which one container that the engine is slow about no longer keeps the others from being told."""
FIRST_RETRY, LAST_RETRY = 0.1, 2.0
"""Seconds before an engine that went away is asked again; they double. Asking a missing socket costs nothing."""
NOT_FOUND = 404


class DockerSource:
    """The containers of one Compose project on one engine."""

    def __init__(self, client: DockerClient, project: str) -> None:
        self._client = client
        self._ledger = Ledger(project)
        self._trouble = "Docker has not answered yet."
        self._reason = ""
        self._images: dict[str, dict[str, str]] = {}
        """Labels by image id. An id is a digest: what it names never changes."""
        self._looking: set[str] = set()
        self._look_again: set[str] = set()
        self._relist = trio.Event()
        self._publish: Callable[[Discovered], None] = lambda state: None

    def __repr__(self) -> str:
        return f"<DockerSource {self._client.endpoint.text} {self._ledger!r} {self._trouble or 'live'}>"

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Publish the project's containers, and again after each change, for ever.

        While the engine is away the last known state stands, and `trouble` says why. Safe to cancel, and to call
        again afterwards.
        """
        self._publish = publish
        delay = FIRST_RETRY
        async with self._client, trio.open_nursery() as timers:
            while True:
                live = trio.Event()
                try:
                    await self._session(timers, live)
                except* (EngineUnreachable, EngineError) as problems:
                    self._stale(str(next(leaves(problems))))  # one of them: they all tell of the same engine
                delay = FIRST_RETRY if live.is_set() else delay
                await trio.sleep(delay)
                delay = min(delay * 2, LAST_RETRY)

    async def _session(self, timers: trio.Nursery, live: trio.Event) -> None:
        """Follow the engine until it goes away. Subscribe first and list second, so that nothing falls between."""
        await self._client.negotiate()
        async with self._client.events(filters=EVENTS) as events, trio.open_nursery() as nursery:
            nursery.start_soon(self._relist_for_ever, live)
            async for event in events:
                if not event:
                    self._relist.set()
                    continue
                heard = self._ledger.hear(event, trio.current_time())
                if heard.changed:
                    self._tell()
                if heard.look:
                    nursery.start_soon(self._look, heard.look)
                if heard.until:
                    timers.start_soon(self._tell_at, heard.until)
            raise EngineUnreachable("Docker ended its event stream: it may be restarting.")

    async def _relist_for_ever(self, live: trio.Event) -> None:
        pause = RELIST_PAUSE
        while True:
            self._relist = trio.Event()
            failure = await self._look_at_everything()
            self._trouble = f"{failure} Until then what is shown may be out of date." if failure else ""
            self._tell()
            if not live.is_set():
                live.set()
                log.info("docker is being watched", containers=len(self._ledger.seen))
            pause = min(pause * 2, RELIST_EVERY) if failure else RELIST_PAUSE
            await trio.sleep(pause)
            if not failure:
                with trio.move_on_after(RELIST_EVERY - pause):
                    await self._relist.wait()

    async def _look_at_everything(self) -> str:
        """List the project's containers; ask about each, and about those known but not listed. Return what failed."""
        listed = await self._client.get("containers", "json", filters=_running(self._ledger.project))
        failures: list[str] = []

        async def ask(identity: str) -> None:
            failures.append(await self._ask(identity))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_at, trio.current_time() + PATIENCE)
            async with trio.open_nursery() as asking:
                for identity in _identities(listed) | self._ledger.seen.keys():
                    asking.start_soon(ask, identity)
            nursery.cancel_scope.cancel()
        used = {seen.image for seen in self._ledger.seen.values()}
        self._images = {image: labels for image, labels in self._images.items() if image in used}
        return max(failures, default="")

    async def _look(self, identity: str) -> None:
        """Ask about one container and tell. What fails is asked again with everything else, soon."""
        if await self._ask(identity):
            self._relist.set()
        self._tell()

    async def _ask(self, identity: str) -> str:
        """Ask until the answer is newer than the last request for one; one question at a time for a container.

        Return why it could not be answered, or nothing. Raises EngineUnreachable.
        """
        if identity in self._looking:
            self._look_again.add(identity)
            return ""
        self._looking.add(identity)
        try:
            failure = await self._ask_once(identity)
            while identity in self._look_again:
                self._look_again.discard(identity)
                failure = await self._ask_once(identity)
            return failure
        finally:
            self._looking.discard(identity)
            self._look_again.discard(identity)

    async def _ask_once(self, identity: str) -> str:
        question = self._ledger.ask(identity)
        try:
            seen = await self._inspect(identity)
        except (EngineError, EngineSilent) as problem:
            if not isinstance(problem, EngineError) or problem.status != NOT_FOUND:
                log.warning("container not looked at", container=identity[:12], problem=str(problem))
                return f"Container {identity[:12]} cannot be looked at, and is asked about again: {problem}"
            seen = None  # normal for one that ended a moment ago
        self._ledger.answer(identity, question, seen)
        return ""

    async def _inspect(self, identity: str) -> Seen | None:
        inspect = await self._client.get("containers", identity, "json")
        project = self._ledger.project
        if not claims(inspect, project):
            return None
        image = image_of(inspect)
        found = translate(inspect, await self._image_labels(image, inspect), project)
        return Seen(found, stop_of(inspect), image) if found is not None else None

    async def _image_labels(self, image: str, inspect: object) -> dict[str, str]:
        """The labels of an image. Of one that the engine does not know, all that its container carries: no proof."""
        if not image:
            return labels_of(inspect)
        if image not in self._images:
            try:
                self._images[image] = labels_of(await self._client.get("images", image, "json"))
            except EngineError as problem:
                if problem.status != NOT_FOUND:
                    raise
                log.warning("image of a container is unknown to the engine", image=image)
                return labels_of(inspect)
        return self._images[image]

    async def _tell_at(self, moment: float) -> None:
        await trio.sleep_until(moment)
        self._tell()

    def _tell(self) -> None:
        self._publish(self._ledger.discovered(trio.current_time(), self._trouble))

    def _stale(self, reason: str) -> None:
        if reason != self._reason:
            log.warning("docker is away; the last known state stays in service", reason=reason)
        self._reason = reason
        self._trouble = f"{reason} Until then what is shown may be out of date."
        self._tell()


def _running(project: str) -> str:
    return json.dumps({"label": [f"{PROJECT}={project}"], "status": ["running", "paused"]})


def _identities(listed: object) -> set[str]:
    """The ids in an answer of GET /containers/json."""
    entries = listed if isinstance(listed, list) else []
    identities = (entry.get("Id") for entry in entries if isinstance(entry, dict))
    return {identity for identity in identities if isinstance(identity, str) and IDENTITY.fullmatch(identity)}
