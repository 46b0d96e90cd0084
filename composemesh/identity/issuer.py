"""Contexts that stay current: issued, read and renewed when somebody is about to use them.

Nothing here runs in the background. A certificate that is two thirds through its life is replaced by whoever needs it
next, a file that has changed is read again by the next who looks; connections keep the session that they have. So
there is no timer that a sleeping laptop or a clock that was set could upset.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from composemesh.identity.ca import Authority, Credentials, PrivateKey, new_key
from composemesh.identity.contexts import HTTP, client_context, server_context
from composemesh.identity.files import load_credentials, load_roots
from composemesh.model.gateway import Server, TlsMode, TlsSettings
from composemesh.model.problem import Problem, Severity
from composemesh.runtime.files import Stamp, stamp

MOST_NAMES = 256
"""Certificates kept for names that clients ask for. The one that was asked for longest ago goes first."""
LOOK = timedelta(seconds=10)
"""How often a file is looked at, at most."""
LOCAL = ("localhost", "127.0.0.1", "::1")
"""Whom a client means that names no host."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Contexts(Protocol):
    """What a server of TLS starts each connection from."""

    problems: Sequence[Problem]
    """What is wrong with it now. Where there is an error, the last good certificate serves on, if there is one."""

    def of(self, name: str) -> ssl.SSLContext | None:
        """The context for a client that asks for this name, or for none; None where there is no certificate."""
        ...


class Rotating:
    """A context whose certificate is replaced two thirds through its life, by whoever needs it next.

    Connections keep the session that they have, so nobody notices.
    """

    def __init__(
        self,
        authority: Authority,
        names: Sequence[str],
        make: Callable[[Credentials], ssl.SSLContext],
        clock: Clock = utc_now,
        key: PrivateKey | None = None,
    ) -> None:
        """`key`: one that several share, where making one for each would cost too much. Raises ValueError as `make`
        does, and where a name is none."""
        self._authority = authority
        self._names = tuple(names)
        self._make = make
        self._clock = clock
        self._key = key
        self._renew(clock())

    def __repr__(self) -> str:
        return f"<Rotating {', '.join(self._names)} {self._credentials!r}>"

    @property
    def current(self) -> ssl.SSLContext:
        """What the next connection begins with."""
        now = self._clock()
        if not self._credentials.not_before <= now < self._credentials.renewal:
            self._renew(now)
        return self._context

    def _renew(self, now: datetime) -> None:
        self._credentials = self._authority.issue(self._names, now, key=self._key)
        self._context = self._make(self._credentials)


def identity(authority: Authority, name: str, clock: Clock = utc_now) -> tuple[Rotating, Rotating]:
    """A service's identity (`spiffe_id`) as a server and as a client, among those of this authority.

    Both sides must have a certificate. It says who they are and not where: whoever shakes hands compares the URI in
    the other's certificate himself.
    """
    root = authority.root.decode()
    as_server = partial(server_context, clients=root, required=True, protocols=())
    as_client = partial(_client, root)
    return Rotating(authority, [name], as_server, clock), Rotating(authority, [name], as_client, clock)


def _client(root: str, credentials: Credentials) -> ssl.SSLContext:
    return client_context(root, credentials=credentials, names=False)


class Issued:
    """Certificates of the mesh's own authority, one for each name that clients ask for.

    No wildcards: clients refuse `*.localhost`, because whoever had that could be anybody there. Only names that are
    the server's own to answer for get one, so a stranger cannot have us sign what he likes.
    """

    def __init__(
        self,
        authority: Authority,
        settings: TlsSettings,
        hosts: Sequence[str],
        clock: Clock = utc_now,
        protocols: Sequence[str] = HTTP,
    ) -> None:
        self.problems: Sequence[Problem] = ()
        self._protocols = protocols
        self._authority = authority
        self._hosts = tuple(hosts)
        self._clock = clock
        self._key = new_key()
        self._made: OrderedDict[str, Rotating] = OrderedDict()
        self._settings = settings
        self._trust, self.problems = _trusted(settings, authority, clock())
        self.of("")  # or a cipher that nobody knows would be found out by the first client

    def __repr__(self) -> str:
        return f"<Issued for {', '.join(self._hosts)}: {len(self._made)} names>"

    def of(self, name: str) -> ssl.SSLContext | None:
        if any(problem.severity is Severity.ERROR for problem in self.problems):
            return None
        name = name.lower().rstrip(".")
        if not self._answers_for(name):
            name = ""
        known = self._made.get(name)
        if known is None:
            make = partial(_context, self._settings, self._trust, self._protocols)
            names = [name] if name else self._own_names()
            try:
                known = self._made[name] = Rotating(self._authority, names, make, self._clock, self._key)
            except ValueError as problem:
                self.problems = (*self.problems, _unusable(problem))
                return None
            while len(self._made) > MOST_NAMES:
                self._made.popitem(last=False)
        self._made.move_to_end(name)
        return known.current

    def _answers_for(self, name: str) -> bool:
        if not _is_host(name):
            return False
        if name.endswith(".localhost"):
            return any(_meant(pattern, name) for pattern in self._hosts)
        return any(_meant(pattern, name) for pattern in self._hosts if pattern != "*")

    def _own_names(self) -> list[str]:
        return [*LOCAL, *(host for host in self._hosts if "*" not in host and host not in LOCAL)]


class Loaded:
    """A certificate that the user brought, in files that may be renewed at any time."""

    def __init__(
        self,
        authority: Authority,
        settings: TlsSettings,
        clock: Clock = utc_now,
        protocols: Sequence[str] = HTTP,
    ) -> None:
        self.problems: Sequence[Problem] = ()
        self._protocols = protocols
        self._authority = authority
        self._settings = settings
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[Stamp, ...] = ()
        self._looked = datetime.min.replace(tzinfo=UTC)
        self.of("")

    def __repr__(self) -> str:
        return f"<Loaded {self._settings.certificate}>"

    def of(self, name: str) -> ssl.SSLContext | None:
        now = self._clock()
        if not self._looked <= now < self._looked + LOOK:
            self._looked = now
            files = (self._settings.certificate, self._settings.key, self._settings.ca)
            seen = tuple(stamp(file) for file in files if file)
            if seen != self._seen:
                self._seen = seen
                self._load(now)
        return self._context

    def _load(self, now: datetime) -> None:
        settings = self._settings
        key = settings.key or settings.certificate
        credentials, problems = load_credentials(Path(settings.certificate), Path(key), now)
        trust, more = _trusted(settings, self._authority, now)
        problems = [*problems, *more]
        if credentials is not None and not any(problem.severity is Severity.ERROR for problem in problems):
            try:
                self._context = _context(settings, trust, self._protocols, credentials)
            except ValueError as problem:
                problems.append(_unusable(problem))
        self.problems = tuple(problems)


def server_contexts(authority: Authority, server: Server, clock: Clock = utc_now) -> Contexts:
    """What a gateway's server that ends TLS starts connections from."""
    settings = server.tls or TlsSettings()
    protocols = HTTP if server.speaks_http else ()  # what is passed on is not ours to promise
    if settings.certificate:
        return Loaded(authority, settings, clock, protocols)
    return Issued(authority, settings, server.hosts, clock, protocols)


def _context(settings: TlsSettings, trust: str, protocols: Sequence[str], credentials: Credentials) -> ssl.SSLContext:
    return server_context(
        credentials,
        protocols=protocols,
        clients=trust,
        required=settings.mode is TlsMode.MUTUAL,
        minimum=settings.minimum,
        maximum=settings.maximum,
        ciphers=settings.ciphers,
    )


def _trusted(settings: TlsSettings, authority: Authority, now: datetime) -> tuple[str, list[Problem]]:
    """PEM of the authorities whose clients are believed; nothing where none is asked for a certificate."""
    if settings.mode not in (TlsMode.MUTUAL, TlsMode.OPTIONAL_MUTUAL):
        return "", []
    if not settings.ca:
        return authority.root.decode(), []
    roots, problems = load_roots(Path(settings.ca), now)
    return roots.decode(), problems


def _unusable(problem: ValueError) -> Problem:
    return Problem(
        Severity.ERROR, "bad-tls-settings", f"TLS cannot be served so: {problem}.", "Change the server's `tls`."
    )


def _meant(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _is_host(name: str) -> bool:
    """Whether this is a DNS name as certificates have it, and not an address."""
    labels = name.split(".")
    return (
        name.isascii()
        and len(name) <= 253
        and not labels[-1].isdigit()
        and all(0 < len(label) <= 63 and label.replace("-", "").replace("_", "").isalnum() for label in labels)
    )
