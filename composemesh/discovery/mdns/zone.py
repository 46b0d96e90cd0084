"""zeroconf, in a thread of its own: what is announced on a few interfaces, and what we announce there.

What is known is handed over as a whole, in a slot: a flood of announcements makes it newer and never longer. zeroconf
itself keeps 10,000 records at most.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
import trio

from composemesh.discovery.mdns.translate import Announcement
from composemesh.model.mdns import Publication

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf

log = structlog.get_logger()

DOMAIN = "local."
MOST_KNOWN = 256
"""Announcements that are kept. Of more, the oldest without an address makes room; where all have one, the newest."""
MOST_ASKED = 16
"""Questions about single announcements at a time."""
PATIENCE = 3000
"""Milliseconds for the answer to one."""
PAUSE = 0.05
"""Seconds between two reports at least."""
LOOK = 2.0
"""Seconds after which records are looked at even if nothing was heard: their time (TTL) may be over."""
GRACE = 5.0
"""Seconds that one whose records are gone has to answer, before it is gone as well."""
LONGEST_VALUE = 255
"""Bytes of a TXT value that are looked at."""
KEYS = ("service", "version", "mesh")
NAME = 63
"""Bytes of an instance's name (RFC 6763, 4.1.1)."""


class Heard(NamedTuple):
    """All that is announced at one moment."""

    announcements: tuple[Announcement, ...] = ()
    """Oldest first."""
    surplus: int = 0
    """How many were not kept, since the start."""


class Announced(NamedTuple):
    """What we say ourselves."""

    publication: Publication
    version: str
    """Empty where the service runs in several."""


class Zone:
    """What is heard and said on some interfaces. Make, change and close it in threads: each takes up to a second."""

    def __init__(
        self,
        addresses: Sequence[str],
        browse: Sequence[str],
        hear: Callable[[Heard], object],
        token: trio.lowlevel.TrioToken,
    ) -> None:
        """`hear` is called by trio, soon after something has changed. Raises OSError where an address is not ours."""
        from zeroconf import IPVersion, Zeroconf

        self._addresses = tuple(addresses)
        self._hear = hear
        self._token = token
        self._known: dict[str, str] = {}
        """Full name of an instance → its type, oldest first."""
        self._whole: dict[str, tuple[Announcement, float]] = {}
        """Those of which everything is known, and when it was, by the loop's clock."""
        self._asking: dict[str, Any] = {}
        """Name → the task that asks: the loop itself holds tasks weakly."""
        self._surplus = 0
        self._due: Any = None
        self._resting = False
        self._heard = Heard()
        self._announced: dict[Announced, ServiceInfo] = {}
        self._zeroconf = Zeroconf(interfaces=list(addresses), ip_version=IPVersion.V4Only, use_asyncio=False)
        loop: Any = self._zeroconf.loop
        self._loop = loop
        loop.call_soon_threadsafe(self._browse, [f"{each}.{DOMAIN}" for each in browse])

    def __repr__(self) -> str:
        return f"<Zone on {', '.join(self._addresses)}: {len(self._known)} heard, {len(self._announced)} announced>"

    # === in whatever thread ===

    def announce(self, publications: AbstractSet[Announced], project: str, own: str) -> None:
        """Announce these and no others; of what is announced no more, a good-bye is sent (RFC 6762, 10.1).

        Our names hold the id of this mesh, which nobody else has, so that nobody need be asked whether they are free.
        """
        from zeroconf import ServiceInfo

        for announced in self._announced.keys() - publications:
            self._zeroconf.unregister_service(self._announced.pop(announced))
        for announced in publications - self._announced.keys():
            publication, version = announced
            kind = f"{publication.type}.{DOMAIN}"
            end = f"-{project[:20]}-{own}"
            said = {"service": publication.service, "version": version, "mesh": own}
            info = self._announced[announced] = ServiceInfo(
                kind,
                f"{publication.service[: NAME - len(end)]}{end}.{kind}",
                port=publication.port,
                properties={key: value for key, value in said.items() if value},
                server=f"composemesh-{own}.{DOMAIN}",
                addresses=[socket.inet_aton(each) for each in self._addresses],
            )
            self._zeroconf.register_service(info, cooperating_responders=True)

    def close(self) -> None:
        """Say good-bye for everything, and end the thread."""
        self._loop.call_soon_threadsafe(self._rest)
        self._zeroconf.close()

    # === in zeroconf's thread ===

    def _browse(self, types: list[str]) -> None:
        from zeroconf.asyncio import AsyncServiceBrowser

        if types:
            self._browser = AsyncServiceBrowser(self._zeroconf, types, handlers=[self._changed])
        self._report()

    def _rest(self) -> None:
        self._resting = True
        if self._due is not None:
            self._due.cancel()
        for task in self._asking.values():
            task.cancel()

    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change.name == "Removed":
            self._forget(name)
        elif name not in self._known and not self._keep(name, service_type):
            self._surplus += 1
        self._report_in(PAUSE)

    def _keep(self, name: str, service_type: str) -> bool:
        if len(self._known) >= MOST_KNOWN:
            vague = next((each for each in self._known if each not in self._whole), None)
            if vague is None:
                return False
            self._forget(vague)
            self._surplus += 1
        self._known[name] = service_type
        return True

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._whole.pop(name, None)

    def _report_in(self, seconds: float) -> None:
        if self._resting:
            return
        if self._due is None or self._due.when() > self._loop.time() + seconds:
            if self._due is not None:
                self._due.cancel()
            self._due = self._loop.call_later(seconds, self._report)

    def _report(self) -> None:
        """Hand over what is known, and ask about the rest."""
        self._due = None
        self._report_in(LOOK)
        for name in (*self._whole, *(self._known.keys() - self._whole.keys())):  # who was there is asked first
            self._look(name, self._known[name])
        found = tuple(self._whole[name][0] for name in self._known if name in self._whole)
        heard = Heard(found, self._surplus)
        if heard != self._heard:
            self._heard = heard
            try:
                self._token.run_sync_soon(self._hand_over, idempotent=True)
            except trio.RunFinishedError:
                pass  # nobody is left to hear it

    def _look(self, name: str, service_type: str) -> None:
        from zeroconf import BadTypeInNameException, ServiceInfo

        try:
            info = ServiceInfo(service_type, name)
        except BadTypeInNameException:  # control characters: nobody is asked about that
            instance = name.removesuffix(f".{service_type}")
            nothing = Announcement(service_type.removesuffix(f".{DOMAIN}"), instance, 0, ())
            self._whole[name] = nothing, self._loop.time()
            return
        if info.load_from_cache(self._zeroconf):
            self._whole[name] = _announcement(info, name, service_type), self._loop.time()
            return
        # Its time is over, or a flood has washed its records out of the cache: it may say which.
        if name in self._whole and self._whole[name][1] + GRACE < self._loop.time():
            del self._whole[name]
        self._ask(info, name)

    def _ask(self, info: ServiceInfo, name: str) -> None:
        if name in self._asking or len(self._asking) >= MOST_ASKED:
            return  # the next report asks again

        async def ask() -> None:
            try:
                if await info.async_request(self._zeroconf, PATIENCE):
                    self._report_in(PAUSE)
            finally:
                self._asking.pop(name, None)

        self._asking[name] = self._loop.create_task(ask())

    # === in trio's ===

    def _hand_over(self) -> None:
        # What is raised here would end the whole program.
        try:
            self._hear(self._heard)
        except Exception:
            log.exception("what was heard by mDNS is lost")


def _announcement(info: ServiceInfo, name: str, service_type: str) -> Announcement:
    txt = {}
    for key, value in info.properties.items():
        word = key.decode("ascii", "replace").lower()
        if word in KEYS and value is not None and len(value) <= LONGEST_VALUE:
            txt[word] = value.decode("utf-8", "replace")
    return Announcement(
        service_type.removesuffix(f".{DOMAIN}"),
        name.removesuffix(f".{service_type}"),
        info.port or 0,
        tuple(info.parsed_addresses()),
        txt,
    )
