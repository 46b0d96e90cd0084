"""What runs: workloads as a source reports them, before any configuration is applied."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Health(enum.StrEnum):
    """A container's HEALTHCHECK as Docker reports it; `none` when the image declares no check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


FITNESS = {Health.NONE: 0, Health.HEALTHY: 0, Health.STARTING: 1, Health.UNHEALTHY: 2}
"""In which order workloads are called: one of a higher number gets requests only while there is none of a lower."""


class State(enum.StrEnum):
    """Whether a workload takes new requests. Only living workloads are reported at all."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    """A stop signal was sent: requests in flight end, new ones go elsewhere."""


class Kind(enum.StrEnum):
    """What a workload is, and so where it is reached."""

    CONTAINER = "container"
    PROCESS = "process"
    """A process of this host that was told of the mesh (`composemesh run`)."""
    FOUND = "found"
    """It announced itself on the network. Its own calls are none of this mesh's."""


HOST = "host"
"""The network of what is no container: the host reaches it, and so everybody does, through the mesh."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A workload's place on one network."""

    network: str
    """The network's id: two workloads reach each other when they share one."""
    name: str
    addresses: tuple[str, ...]
    """IPv4 first, then IPv6, in the form `ipaddress` prints."""
    aliases: tuple[str, ...] = ()
    """Names that Docker's DNS resolves to this workload on this network."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One running container, one host process, or something found on the network."""

    id: str
    name: str
    """The container's name without Docker's leading slash, e.g. `bookinfo-reviews-v1-1`."""
    compose_service: str
    started: str
    """The engine's StartedAt. With `id` it names one life: a restarted container has a new namespace."""
    pid: int
    """In the mesh process's own pid namespace; 0 where there is none to enter."""
    attachments: tuple[Attachment, ...] = ()
    state: State = State.RUNNING
    health: Health = Health.NONE
    ports: tuple[int, ...] = ()
    """TCP ports that the image EXPOSEs or Compose declares, ascending."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Only what was put on the container itself: a label that the image carries proves nothing."""
    network_mode: str = "own"
    """`own` (a namespace of its own on ordinary networks), `host`, `none` or `container:<id>`."""
    oneoff: bool = False
    """Made by `docker compose run`: it calls others, but nobody is sent to it."""
    kind: Kind = Kind.CONTAINER

    @property
    def life(self) -> tuple[str, str]:
        """The key of this life of the workload; a restart changes it."""
        return (self.id, self.started)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address on every network."""
        return tuple(address for place in self.attachments for address in place.addresses)


@dataclass(frozen=True, slots=True)
class Impostor:
    """A container that claims to belong to the project, on no better evidence than its image's labels."""

    id: str
    name: str
    image: str
    claims: str
    """The Compose service it poses as."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """Everything that the sources know at one moment: full state, never a difference."""

    workloads: tuple[Workload, ...] = ()
    impostors: tuple[Impostor, ...] = ()
    trouble: str = ""
    """Empty while the source is live; else one sentence on why what is shown may be stale."""
