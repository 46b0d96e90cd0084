"""What the engine's answers mean. Pure and total: whatever an answer holds, nothing here raises.

A container belongs to a project by what Compose wrote on it. Labels alone do not say that, because the LABELs of an
image become labels of its containers: anybody's image may claim to be a service of yours. So the claim counts only
with proof that somebody labelled the container itself, and the image's own labels are never believed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from composemesh.discovery.docker.stop import Stop
from composemesh.model.workload import Attachment, Health, Impostor, State, Workload

COMPOSE = "com.docker.compose."
PROJECT = COMPOSE + "project"
SERVICE = COMPOSE + "service"
ONEOFF = COMPOSE + "oneoff"
NUMBER = COMPOSE + "container-number"
CONFIG_HASH = COMPOSE + "config-hash"

UNNAMED_NETWORK = "bridge"
"""Docker's default network has no DNS."""
SHORT_ID = 12
"""Characters of an id that Docker makes a name of."""
EPOCH = datetime.fromtimestamp(0, UTC)
MICROSECOND = timedelta(microseconds=1)


def translate(inspect: object, image_labels: Mapping[str, str], project: str) -> Workload | Impostor | None:
    """Read one answer of GET /containers/{id}/json, beside the labels of the container's image.

    None for a container that is not running, or that does not claim to be of the project.
    """
    answer = _mapping(inspect)
    config, state = _mapping(answer.get("Config")), _mapping(answer.get("State"))
    labels = labels_of(answer)
    identity = _text(answer.get("Id"))
    if not identity or not claims(answer, project):
        return None
    name = _text(answer.get("Name")).removeprefix("/") or identity[:SHORT_ID]
    service = labels.get(SERVICE, "")
    if not service or not made_by_compose(labels, image_labels):
        return Impostor(identity, name, image=_text(config.get("Image")), claims=service)
    mode = _network_mode(answer)
    return Workload(
        id=identity,
        name=name,
        compose_service=service,
        started=_text(state.get("StartedAt")),
        pid=_count(state.get("Pid")),
        attachments=tuple(_attachments(answer, identity, name)) if mode == "own" else (),
        state=State.PAUSED if state.get("Paused") is True else State.RUNNING,
        health=_health(state),
        ports=_ports(answer),
        labels={key: value for key, value in labels.items() if image_labels.get(key) != value},
        network_mode=mode,
        oneoff=_is_oneoff(labels),
    )


def made_by_compose(labels: Mapping[str, str], image_labels: Mapping[str, str]) -> bool:
    """Whether the labels prove that Compose made the container.

    Images that Compose builds carry project, service and version, so those prove nothing. The hash of the service's
    configuration is written on containers only: one that differs from the image's was put there by whoever ran the
    container. Every container has a number too, save one-off ones, which newer versions of Compose do not count.
    """
    own_hash = labels.get(CONFIG_HASH)
    return bool(own_hash) and own_hash != image_labels.get(CONFIG_HASH) and (NUMBER in labels or _is_oneoff(labels))


def claims(inspect: object, project: str) -> bool:
    """Whether the container is alive and says, truly or not, that it is of the project."""
    answer = _mapping(inspect)
    return _living(_mapping(answer.get("State"))) and labels_of(answer).get(PROJECT) == project


def image_of(inspect: object) -> str:
    """The id of the image that the container was made from; empty where the answer names none."""
    return _text(_mapping(inspect).get("Image"))


def labels_of(inspect: object) -> dict[str, str]:
    """The labels in an answer of GET /containers/{id}/json, proven or not, or of GET /images/{id}/json."""
    return _texts(_mapping(_mapping(inspect).get("Config")).get("Labels"))


def stop_of(inspect: object) -> Stop:
    """How the engine stops the container."""
    config = _mapping(_mapping(inspect).get("Config"))
    return Stop.of(config.get("StopSignal"), config.get("StopTimeout"))


def instant(started: str) -> int:
    """The engine's StartedAt in nanoseconds since the epoch, as its events count; 0 where it is no time."""
    try:
        moment = datetime.fromisoformat(started)
        return (moment - EPOCH) // MICROSECOND * 1000
    except (ValueError, TypeError, OverflowError):
        return 0


def _living(state: Mapping[str, Any]) -> bool:
    """Running, as the engine means it, but for the wait between two attempts of a restart policy."""
    return state.get("Running") is True and state.get("Restarting") is not True


def _is_oneoff(labels: Mapping[str, str]) -> bool:
    return labels.get(ONEOFF, "").lower() == "true"


def _health(state: Mapping[str, Any]) -> Health:
    try:
        return Health(_text(_mapping(state.get("Health")).get("Status")))
    except ValueError:
        return Health.NONE


def _network_mode(answer: Mapping[str, Any]) -> str:
    mode = _text(_mapping(answer.get("HostConfig")).get("NetworkMode"))
    return mode if mode in ("host", "none") or mode.startswith("container:") else "own"


def _attachments(answer: Mapping[str, Any], identity: str, container: str) -> Iterator[Attachment]:
    networks = _mapping(_mapping(answer.get("NetworkSettings")).get("Networks"))
    for name, place in sorted(item for item in networks.items() if isinstance(item[0], str)):
        there = _mapping(place)
        addresses = tuple(_addresses(there))
        network = _text(there.get("NetworkID"))
        if network and addresses:
            aliases = () if name == UNNAMED_NETWORK else tuple(_aliases(there, identity, container))
            yield Attachment(network, name, addresses, aliases)


def _addresses(place: Mapping[str, Any]) -> Iterator[str]:
    for key in ("IPAddress", "GlobalIPv6Address"):
        try:
            address = ipaddress.ip_address(_text(place.get(key)))
        except ValueError:
            continue
        if not getattr(address, "scope_id", None):
            yield str(address)


def _aliases(place: Mapping[str, Any], identity: str, container: str) -> Iterator[str]:
    """What Compose and users call it, and the container's name; not its id, which Docker adds and nobody types."""
    names = (name for key in ("Aliases", "DNSNames") for name in _list(place.get(key)))
    for name in dict.fromkeys((*map(_text, names), container)):
        if name and not (len(name) >= SHORT_ID and identity.startswith(name)):
            yield name


def _ports(answer: Mapping[str, Any]) -> tuple[int, ...]:
    exposed = _mapping(_mapping(answer.get("Config")).get("ExposedPorts"))
    published = _mapping(_mapping(answer.get("NetworkSettings")).get("Ports"))
    return tuple(sorted({port for key in (*exposed, *published) if (port := _tcp_port(key))}))


def _tcp_port(key: object) -> int:
    """The port of `9080/tcp` or `9080`; 0 for other protocols and for nonsense."""
    digits, _, protocol = _text(key).partition("/")
    if protocol not in ("", "tcp") or not digits.isascii() or not digits.isdecimal() or len(digits) > 5:
        return 0
    return port if (port := int(digits)) <= 65535 else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    """A mapping's entries of text; others do not come from an engine."""
    pairs = _mapping(value).items()
    return {_text(key): _text(text) for key, text in pairs if isinstance(key, str) and isinstance(text, str)}


def _text(value: object) -> str:
    """Text as it stands, control characters and all, but for lone surrogates: those cannot be written anywhere."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
