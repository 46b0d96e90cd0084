"""mDNS as a source: follows the configuration, tells the registry who was found, and announces what is published.

Nothing of it is needed for the mesh to serve. So its troubles are problems of the mesh, not of discovery: what other
sources know stays true, and a start never waits for the network.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, NamedTuple

import structlog
import trio

from composemesh.discovery.mdns.health import Health
from composemesh.discovery.mdns.interfaces import Interfaces, NoInterface, look_up
from composemesh.discovery.mdns.translate import Found, translate
from composemesh.discovery.mdns.zone import Announced, Heard, Zone
from composemesh.discovery.own_names import own_names
from composemesh.model.mdns import Mdns
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Discovered, Kind, Workload
from composemesh.runtime.latest import Latest

log = structlog.get_logger()

INTERFACES_EVERY = 5.0
"""Seconds between looks at whether interfaces are still what they were."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0
"""Seconds before the network is tried again where it could not be spoken on; they double."""
MOST_NAMES = 4096
"""Names of found services in the life of one mesh: each keeps its virtual address, and there are 65,534."""
MOST_SAID = 200
"""Lines in the log on who was left out. `status` shows who is, at any time."""
NO_NEWS = Heard()


class Wish(NamedTuple):
    """What the configuration and the other sources say to this one."""

    mdns: Mdns = Mdns()
    taken: frozenset[str] = frozenset()
    """Names of the project's own, lowercase."""
    publications: frozenset[Announced] = frozenset()

    @property
    def quiet(self) -> bool:
        return not self.mdns.browse and not self.publications


class MdnsSource:
    """What others announce on the local network."""

    def __init__(self, project: str) -> None:
        self.own = secrets.token_hex(3)
        """The id of this mesh in what it announces."""
        self._project = project
        self._wish: Latest[Wish] = Latest(Wish())
        self._trouble = ""
        self._heard = NO_NEWS
        self._interfaces = Interfaces((), ())
        self._found = Found()
        self._names: set[str] = set()
        self._said: set[str] = set()
        self._publish: Callable[[Discovered], None] = lambda _: None
        self._health = Health(self._update)

    def __repr__(self) -> str:
        return f"<MdnsSource {len(self._found.workloads)} found>"

    def problems(self) -> Iterator[Problem]:
        """Why the network is not spoken on; who was left out, and why."""
        if self._trouble:
            yield Problem(Severity.WARNING, "mdns-unavailable", self._trouble, "It is tried again.", resource="mdns")
        yield from self._found.problems
        if self._heard.surplus:
            message = f"mDNS: more is announced than is kept; {self._heard.surplus} announcements were dropped."
            hint = "Browse fewer types, or an interface with fewer strangers."
            yield Problem(Severity.WARNING, "mdns-flood", message, hint, resource="mdns")

    async def follow(
        self,
        snapshot: Latest[Snapshot],
        discovered: Latest[Discovered],
        gateways: Latest[tuple[Problem, ...]],
    ) -> None:
        """Take what to do from the configuration, what else runs, and what keeps gateways shut, for ever."""
        async with trio.open_nursery() as nursery:

            async def each(feed: Latest[Any]) -> None:
                async for _ in feed:
                    self._wish.publish(wish_of(snapshot.value, discovered.value, gateways.value))

            for feed in (snapshot, discovered, gateways):
                nursery.start_soon(each, feed)

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Publish who was found, for ever. Where there is nothing to look for or to announce, nothing is started."""
        self._publish = publish
        publish(Discovered())
        delay = FIRST_RETRY
        while True:
            self._trouble = ""
            if self._wish.value.quiet:
                await self._wish.after(self._wish.version)
                continue
            try:
                self._interfaces = await self._look_up()
                await self._speak()
                delay = FIRST_RETRY
            except (OSError, NoInterface) as problem:
                self._trouble = str(problem) if isinstance(problem, NoInterface) else _cannot(problem)
                log.warning("mDNS waits", because=self._trouble, seconds=delay)
                wish = self._wish.version
                with trio.move_on_after(delay):
                    await self._wish.after(wish)
                delay = min(2 * delay, LONGEST_RETRY)

    async def _look_up(self) -> Interfaces:
        return await trio.to_thread.run_sync(look_up, self._wish.value.mdns.interfaces)

    async def _speak(self) -> None:
        """Listen and announce until the interfaces or the configuration are others."""
        mdns, interfaces = self._wish.value.mdns, self._interfaces
        token = trio.lowlevel.current_trio_token()
        make = partial(Zone, interfaces.addresses, mdns.browse, self._hear, token)
        # Not to be abandoned: the thread would speak on.
        zone = await trio.to_thread.run_sync(make)
        log.info("mDNS is listened to", on=", ".join(interfaces.addresses), types=", ".join(mdns.browse))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._health.run)
                nursery.start_soon(self._announce, zone)
                nursery.start_soon(self._await_change, mdns, nursery.cancel_scope)
                await self._await_other_interfaces(interfaces)
                nursery.cancel_scope.cancel()
        finally:
            self._hear(NO_NEWS)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(zone.close)

    async def _announce(self, zone: Zone) -> None:
        while True:
            version, wish = self._wish.version, self._wish.value
            await trio.to_thread.run_sync(zone.announce, wish.publications, self._project, self.own)
            await self._wish.after(version)

    async def _await_change(self, mdns: Mdns, scope: trio.CancelScope) -> None:
        async for wish in self._wish:
            self._update()
            if wish.mdns != mdns or wish.quiet:
                scope.cancel()

    async def _await_other_interfaces(self, now: Interfaces) -> None:
        while True:
            await trio.sleep(INTERFACES_EVERY)
            if await self._look_up() != now:
                return

    # === what was heard → what is known ===

    def _hear(self, heard: Heard) -> None:
        self._heard = heard
        self._update()

    def _update(self) -> None:
        self._found = translate(
            self._heard.announcements, self.own, self._wish.value.taken, self._interfaces.networks
        )
        for problem in self._found.problems:
            if problem.message not in self._said and len(self._said) < MOST_SAID:
                self._said.add(problem.message)
                log.warning("left out", problem=problem.message)
        known = [each for each in self._found.workloads if self._remember(each.compose_service)]
        self._health.follow(map(_peer, known))
        self._publish(Discovered(tuple(each for each in known if not self._health.gone(_peer(each)))))

    def _remember(self, service: str) -> bool:
        """Whether a name is not one too many."""
        if service not in self._names and len(self._names) >= MOST_NAMES:
            return False
        self._names.add(service)
        return True


def wish_of(snapshot: Snapshot, discovered: Discovered, gateways: Collection[Problem] = ()) -> Wish:
    """What there is to do. A service is announced while something of it runs here, and its port is open."""
    closed = {problem.resource for problem in gateways}
    settings = [
        (each, snapshot.settings_of(each))
        for each in discovered.workloads
        if each.kind is not Kind.FOUND and not each.oneoff
    ]
    versions: dict[str, set[str]] = {}
    for _, said in settings:
        versions.setdefault(said.service, set()).add(said.version)
    return Wish(
        snapshot.mesh.mdns,
        own_names(snapshot, discovered).union(_of_other_sources(discovered)),
        frozenset(
            Announced(each, next(iter(those)) if len(those) == 1 else "")
            for each in snapshot.publications
            if (those := versions.get(each.service)) and each.resource not in closed
        ),
    )


def _of_other_sources(discovered: Discovered) -> Iterator[str]:
    """Names that were found by somebody whom the operator has named: a stranger's word counts less."""
    for workload in discovered.workloads:
        if workload.kind is Kind.FOUND and not workload.id.startswith("mdns:"):
            yield workload.compose_service.lower()


def _peer(workload: Workload) -> tuple[str, int]:
    return workload.addresses[0], workload.ports[0]


def _cannot(problem: OSError) -> str:
    return f"mDNS cannot be spoken on the network ({problem.strerror or problem})."
