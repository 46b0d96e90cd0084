"""What an inspected container means, and whose word counts."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composemesh.discovery.docker.ledger import Ledger
from composemesh.discovery.docker.stop import Stop, signal_number
from composemesh.discovery.docker.translate import (
    claims,
    image_of,
    instant,
    labels_of,
    stop_of,
    translate,
)
from composemesh.model.workload import Attachment, Health, Impostor, State, Workload
from unit.discovery.engine import IMAGE, PROJECT, event, identity, inspected

COMPOSE = "com.docker.compose."


def workload(inspect: dict[str, Any], image_labels: dict[str, str] | None = None) -> Workload:
    found = translate(inspect, image_labels or {}, PROJECT)
    assert isinstance(found, Workload)
    return found


def test_a_container_of_compose() -> None:
    found = workload(inspected(1, labels={"tier": "front", "made.by": "image"}), {"made.by": "image"})
    assert found == Workload(
        id=identity(1),
        name="shop-web-1",
        compose_service="web",
        started="2026-11-20T19:16:27.930075686Z",
        pid=1001,
        attachments=(
            Attachment("d0c8f9d669da", "shop_default", ("172.29.77.2", "fd00:77::2"), ("shop-web-1", "web")),
        ),
        ports=(8080, 9080, 9090),
        labels=found.labels,
    )
    assert found.labels["tier"] == "front"
    assert "made.by" not in found.labels
    assert found.labels[COMPOSE + "project.config_files"] == "/srv/shop/compose.yaml"
    assert found.labels[COMPOSE + "project.working_dir"] == "/srv/shop"


# -- belonging ------------------------------------------------------------------------------------------------


def test_another_project_is_nobodys_business() -> None:
    assert translate(inspected(1, labels={COMPOSE + "project": "bank"}), {}, PROJECT) is None


def test_only_the_living_count() -> None:
    assert translate(inspected(1, state={"Running": False}), {}, PROJECT) is None
    assert translate(inspected(1, state={"Restarting": True}), {}, PROJECT) is None
    assert translate(inspected(1, state={"Running": "yes"}), {}, PROJECT) is None


def test_an_image_that_carries_every_label_of_its_container_is_an_impostor() -> None:
    inspect = inspected(1, service="billing")
    assert translate(inspect, labels_of(inspect), PROJECT) == Impostor(
        identity(1), "shop-billing-1", image="shop/web:1", claims="billing"
    )


@pytest.mark.parametrize(
    ("container", "image", "belongs"),
    [
        # Images that Compose built carry these three: the container is Compose's all the same.
        ({}, {"project": PROJECT, "service": "web", "version": "2.40.3"}, True),
        # `docker run` of such an image: nobody wrote a hash on it.
        ({"config-hash": None, "container-number": None}, {"project": PROJECT, "service": "web"}, False),
        # An image that brings a hash along: Compose's own hash replaces it on a container of Compose …
        ({}, {"config-hash": "of the image"}, True),
        # … and stays on a container of `docker run`.
        ({"config-hash": "of the image"}, {"config-hash": "of the image"}, False),
        ({"config-hash": ""}, {}, False),
        # A number is given to every container but one-off ones; its value may equal that of a committed image.
        ({"container-number": None}, {}, False),
        ({"container-number": None, "oneoff": "True"}, {}, True),
        ({"container-number": "1"}, {"container-number": "1"}, True),
    ],
)
def test_proof_is_what_the_image_cannot_have_said(
    container: dict[str, str | None], image: dict[str, str], belongs: bool
) -> None:
    inspect = inspected(1)
    labels = inspect["Config"]["Labels"]
    for key, value in container.items():
        labels.pop(COMPOSE + key) if value is None else labels.update({COMPOSE + key: value})
    found = translate(inspect, {COMPOSE + key: value for key, value in image.items()}, PROJECT)
    assert isinstance(found, Workload if belongs else Impostor)


def test_without_a_service_there_is_nothing_to_be() -> None:
    inspect = inspected(1, labels={COMPOSE + "service": ""})
    assert translate(inspect, {}, PROJECT) == Impostor(identity(1), "shop-web-1", "shop/web:1", claims="")


def test_a_label_that_the_image_says_too_is_not_taken_for_the_operators() -> None:
    inspect = inspected(1, labels={"mesh.route": "evil", "version": "v2"})
    labels = workload(inspect, {"mesh.route": "evil", "version": "v1"}).labels
    assert "mesh.route" not in labels
    assert labels["version"] == "v2"


def test_an_environment_file_that_only_the_image_names_is_not_read() -> None:
    key = COMPOSE + "project.environment_file"
    assert key not in workload(inspected(1, labels={key: "/etc/shadow"}), {key: "/etc/shadow"}).labels
    assert workload(inspected(1, labels={key: "/srv/.env"})).labels[key] == "/srv/.env"


def test_a_one_off_container_says_so() -> None:
    assert workload(inspected(1, labels={COMPOSE + "oneoff": "True"})).oneoff
    assert not workload(inspected(1)).oneoff


# -- state ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ({"Status": "starting"}, Health.STARTING),
        ({"Status": "healthy"}, Health.HEALTHY),
        ({"Status": "unhealthy"}, Health.UNHEALTHY),
        ({"Status": "none"}, Health.NONE),
        ({"Status": "splendid"}, Health.NONE),
        (None, Health.NONE),
    ],
)
def test_health(status: object, health: Health) -> None:
    assert workload(inspected(1, state={"Health": status})).health is health


def test_a_paused_container() -> None:
    assert workload(inspected(1, state={"Paused": True})).state is State.PAUSED
    assert workload(inspected(1)).state is State.RUNNING


# -- network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("shop_default", "own"),
        ("default", "own"),
        ("bridge", "own"),
        ("host", "host"),
        ("none", "none"),
        (f"container:{identity(2)}", f"container:{identity(2)}"),
        (None, "own"),
        (17, "own"),
    ],
)
def test_network_mode(mode: object, expected: str) -> None:
    found = workload(inspected(1, mode=mode))
    assert found.network_mode == expected
    assert bool(found.attachments) is (expected == "own")


def test_networks_come_in_the_order_of_their_names_and_without_an_address_there_is_no_place() -> None:
    inspect = inspected(1)
    inspect["NetworkSettings"]["Networks"] = {
        "zoo": {"NetworkID": "3", "IPAddress": "10.0.0.3"},
        "back": {"NetworkID": "1", "IPAddress": "", "GlobalIPv6Address": "FD00::0001"},
        "limbo": {"NetworkID": "2", "IPAddress": ""},
        "odd": {"NetworkID": "4", "IPAddress": "fe80::1%eth0", "GlobalIPv6Address": "300.1.1.1"},
    }
    assert workload(inspect).attachments == (
        Attachment("1", "back", ("fd00::1",), ("shop-web-1",)),
        Attachment("3", "zoo", ("10.0.0.3",), ("shop-web-1",)),
    )


def test_aliases_are_what_people_use() -> None:
    inspect = inspected(1, name="shop-web-1")
    (network,) = inspect["NetworkSettings"]["Networks"].values()
    network["Aliases"] = ["web", "www", identity(1)[:12], identity(1), "web", identity(1)[:2]]
    network["DNSNames"] = ["shop-web-1", "www", identity(1)[:12], "host.name", 7]
    assert workload(inspect).attachments[0].aliases == ("web", "www", "00", "shop-web-1", "host.name")


def test_the_default_bridge_has_no_names() -> None:
    inspect = inspected(1)
    inspect["NetworkSettings"]["Networks"] = {
        "bridge": {"NetworkID": "b", "IPAddress": "172.17.0.2", "Aliases": None}
    }
    assert workload(inspect).attachments == (Attachment("b", "bridge", ("172.17.0.2",)),)


def test_ports_are_of_tcp() -> None:
    exposed: dict[str, object] = {
        "80/tcp": {},
        "53/udp": {},
        "99/sctp": {},
        "70000/tcp": {},
        "0/tcp": {},
        "x/tcp": {},
        "\u0663/tcp": {},
        "": {},
    }
    inspect = inspected(1, config={"ExposedPorts": exposed})
    inspect["Config"]["Labels"] = inspected(1)["Config"]["Labels"]
    inspect["NetworkSettings"]["Ports"] = {"8080/tcp": [{"HostPort": "32768"}], "80/tcp": None}
    assert workload(inspect).ports == (80, 8080)


def test_what_people_write_is_kept_as_data() -> None:
    odd = "a\x00\x1b[31m\n\u202eé"
    labels = workload(inspected(1, labels={odd: odd})).labels
    assert labels[odd] == odd
    assert workload(inspected(1, labels={"lone": "\ud800"})).labels["lone"] == "?"


# -- stopping -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "number"),
    [
        *(("SIGTERM", 15), ("TERM", 15), ("sigquit", 3), ("15", 15), ("SIGUSR1", 10), ("SIGUSR2", 12)),
        *(("SIGWINCH", 28), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-2", 62), ("SIGRTMAX", 64)),
        *(("0", 0), ("65", 0), ("-9", 0), ("SIGRTMIN+99", 0), ("SIGNONSENSE", 0), ("", 0), (None, 0), (15, 0)),
    ],
)
def test_signals_as_images_spell_them(said: object, number: int) -> None:
    assert signal_number(said) == number


def test_how_a_container_is_stopped() -> None:
    assert stop_of(inspected(1)) == Stop(signal=10, timeout=3)
    assert stop_of({}) == Stop(signal=15, timeout=10.0)
    assert stop_of({"Config": {"StopSignal": "HUP?", "StopTimeout": -1}}) == Stop()
    assert stop_of({"Config": {"StopTimeout": 10**400}}).timeout == 3600
    assert stop_of({"Config": {"StopTimeout": True}}) == Stop()


def test_which_signals_end_a_container() -> None:
    stop = Stop(signal=10)
    assert [signal for signal in range(65) if stop.ends_with(signal)] == [2, 3, 9, 10, 15]


@pytest.mark.parametrize(
    ("started", "nanoseconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:01.000000999+01:00", 1_000_000_000),
        ("0001-01-01T00:00:00Z", -62135596800 * 10**9),
        ("2026-11-20T19:16:27", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_when_a_life_began(started: str, nanoseconds: int) -> None:
    assert instant(started) == nanoseconds


# -- whatever the engine says ---------------------------------------------------------------------------------

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=5)
    | st.just("9" * 5000),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place in a JSON document."""
    yield above
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from paths(inner, (*above, key))


def changed(document: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@settings(max_examples=400)
@given(path=st.sampled_from(list(paths(inspected(1, state={"Health": {"Status": "healthy"}})))), value=ODD)
def test_any_field_may_be_anything(path: tuple[str, ...], value: Any) -> None:
    inspect = changed(inspected(1, state={"Health": {"Status": "healthy"}}), path, value)
    found = translate(inspect, {}, PROJECT)
    assert found is None or isinstance(found, Workload | Impostor)
    repr(found).encode()
    for read in (labels_of, image_of, stop_of):
        read(inspect)
    assert (
        claims(inspect, PROJECT) is (found is not None) or not isinstance(inspect.get("Id"), str) or not inspect["Id"]
    )


@settings(max_examples=400)
@given(path=st.sampled_from(list(paths(event("kill", 1, signal="15")))), value=ODD, network=st.booleans())
def test_any_event_may_be_anything(path: tuple[str, ...], value: Any, network: bool) -> None:
    ledger = Ledger(PROJECT)
    said = event("connect", 1, type="network") if network else event("kill", 1, signal="15")
    odd = changed(said, path, value) if set(path) <= {"Type", "Action", "Actor", "Attributes", "ID"} else said
    if isinstance(odd, dict):
        heard = ledger.hear(odd, now=0.0)
        assert not heard.look or heard.look.isalnum()


def test_the_image_of_a_container() -> None:
    assert image_of(inspected(1)) == IMAGE
    assert image_of(None) == ""
