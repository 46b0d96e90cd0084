"""What a name is to the mesh, and what its address stands for afterwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from composemesh.model.entry import EntryEndpoint, EntryPort, Resolution, ServiceEntry
from composemesh.model.route import VirtualHost
from composemesh.model.snapshot import ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.routing.names import MOST_LEARNED, MOST_SEEN, Name, Names, Standing, VirtualAddresses

NOTHING = Discovered()
ENDPOINT = (EntryEndpoint("10.1.2.3"),)


def workload(service: str, *aliases: str, oneoff: bool = False) -> Workload:
    place = Attachment("net", "shop_default", ("172.18.0.2",), (service, *aliases, "0123456789ab"))
    return Workload(f"id-{service}", f"shop-{service}-1", service, "1", 1, (place,), oneoff=oneoff)


def names(*entries: ServiceEntry, services: tuple[str, ...] = (), hosts: tuple[VirtualHost, ...] = ()) -> Names:
    made = Names()
    settings = {name: ServiceSettings(name) for name in services}
    made.update(Snapshot("shop", services=settings, entries=entries, virtual_hosts=hosts), NOTHING)
    return made


def test_forms_of_a_service() -> None:
    known = names(services=("reviews",))
    ours = known.find("reviews.default.svc.cluster.local")
    assert ours is not None
    assert (ours.host, ours.standing) == ("reviews", Standing.OURS)
    for form in ("reviews.default", "reviews.default.svc", "reviews.prod.svc", "reviews.prod.svc.cluster.local"):
        assert known.find(form) == ours
    assert known.virtual_host(ours.addresses[0]) == "reviews"


def test_names_that_only_look_like_a_service_are_left_alone() -> None:
    known = names(services=("google",))
    for name in ("google.com", "www.google.com", "other.default.svc.cluster.local", "google.default.example.com"):
        assert known.find(name) is None


def test_the_projects_name_is_a_namespace_unless_it_is_a_domain_as_well() -> None:
    found = names(services=("reviews",)).find("reviews.shop")
    assert found is not None
    assert found.standing is Standing.UNLESS_KNOWN


def test_a_service_is_dockers_while_it_runs_and_ours_when_it_does_not() -> None:
    known = Names()
    snapshot = Snapshot("shop")
    known.update(snapshot, Discovered((workload("db", "database"),)))
    assert known.find("db") is None
    assert known.find("database") is None
    known.update(snapshot, NOTHING)
    stopped = known.find("db")
    assert stopped is not None
    assert stopped.standing is Standing.UNLESS_KNOWN
    assert known.virtual_host(stopped.addresses[0]) == "db"
    assert known.find("database") is not None
    assert known.find("0123456789ab") is None
    known.update(snapshot, Discovered((workload("db"),)))
    assert known.find("db") is None
    assert known.virtual_host(stopped.addresses[0]) == "db"  # for a client that still has the address


def test_a_service_that_compose_knows_of_need_never_have_run() -> None:
    known = Names()
    known.update(Snapshot("shop", names=frozenset({"db", "database.internal"})), NOTHING)
    for name in ("db", "database.internal"):
        found = known.find(name)
        assert found is not None
        assert found.standing is Standing.UNLESS_KNOWN
    assert known.find("db.default.svc") is not None


def test_a_one_off_container_does_not_make_a_service() -> None:
    known = Names()
    known.update(Snapshot("shop"), Discovered((workload("job", oneoff=True),)))
    known.update(Snapshot("shop"), NOTHING)
    assert known.find("job") is None


def test_a_version_that_does_not_run_is_not_another_that_does() -> None:
    known = names(services=("reviews-v1",))
    running = Discovered((workload("reviews-v2", "reviews"),))
    known.update(Snapshot("shop", services={"reviews-v1": ServiceSettings("reviews", "v1")}), running)
    stopped = known.find("reviews-v1")
    assert stopped is not None
    assert stopped.host == "reviews-v1"
    assert known.find("reviews") is None


def test_hosts_of_entries() -> None:
    ports = (EntryPort(443, "tls"),)
    known = names(
        ServiceEntry(("static.example",), ports, resolution=Resolution.STATIC, endpoints=ENDPOINT),
        ServiceEntry(("*.wild.example",), ports, resolution=Resolution.STATIC, endpoints=ENDPOINT),
        ServiceEntry(("*.deep.wild.example",), ports, resolution=Resolution.STATIC, endpoints=ENDPOINT),
        ServiceEntry(("named.example",), ports, resolution=Resolution.DNS, endpoints=(EntryEndpoint("db.real"),)),
        ServiceEntry(("api.real.example",), ports, resolution=Resolution.DNS),
        ServiceEntry(("*.open.example",), ports),
        ServiceEntry(("fixed.example",), ports, addresses=("192.0.2.7", "fd00::7", "198.51.100.0/24")),
        ServiceEntry(("old.default.svc.cluster.local",), ports, resolution=Resolution.STATIC, endpoints=ENDPOINT),
    )

    def standing(name: str) -> tuple[str, Standing] | None:
        found = known.find(name)
        return None if found is None else (found.host, found.standing)

    assert standing("static.example") == ("static.example", Standing.OURS)
    assert standing("a.wild.example") == ("*.wild.example", Standing.OURS)
    assert standing("a.deep.wild.example") == ("*.deep.wild.example", Standing.OURS)
    assert standing("wild.example") is None
    assert standing("named.example") == ("named.example", Standing.OURS)
    assert standing("api.real.example") == ("api.real.example", Standing.THEIRS)
    assert standing("x.open.example") == ("*.open.example", Standing.THEIRS)
    assert known.find("fixed.example") == Name("fixed.example", Standing.OURS, ("192.0.2.7", "fd00::7"))
    assert standing("old") == standing("old.default.svc") == ("old", Standing.OURS)


def test_a_service_goes_before_an_entry_that_claims_its_name() -> None:
    known = names(ServiceEntry(("reviews",), resolution=Resolution.STATIC, endpoints=ENDPOINT), services=("reviews",))
    found = known.find("reviews")
    assert found is not None
    assert found.standing is Standing.UNLESS_KNOWN


def test_virtual_hosts_that_nothing_else_resolves() -> None:
    known = names(hosts=(VirtualHost(("shop.internal", "*")), VirtualHost(("www.shop.example",), gateways=("web",))))
    found = known.find("shop.internal")
    assert found is not None
    assert found.standing is Standing.UNLESS_KNOWN
    assert known.find("www.shop.example") is None
    assert known.find("anything") is None


def test_addresses_are_learned_and_forgotten_oldest_first() -> None:
    known = names()
    known.learn("api.example", ("192.0.2.1",))
    known.learn("bulk.example", (f"10.{n >> 8}.{n & 255}.1" for n in range(MOST_LEARNED - 1)))
    known.learn("api.example", ("192.0.2.1",))
    known.learn("api.example", ("192.0.2.2",))
    assert known.learned_host("192.0.2.1") == "api.example"
    assert known.learned_host("10.0.0.1") is None


def test_departed_names_are_bounded() -> None:
    known = Names()
    for number in range(3):
        running = Discovered(tuple(workload(f"s{number}-{n}") for n in range(MOST_SEEN // 2)))
        known.update(Snapshot("shop"), running)
    known.update(Snapshot("shop"), NOTHING)
    assert known.find("s2-0") is not None
    assert known.find("s0-0") is None


@given(st.sets(st.text(min_size=1), min_size=1, max_size=300))
def test_addresses_are_their_hosts_for_good(hosts: set[str]) -> None:
    made = VirtualAddresses()
    addresses = {host: made.of(host) for host in hosts}
    assert len(set(addresses.values())) == len(hosts)
    assert all(made.of(host) == address and made.host(address) == host for host, address in addresses.items())
    again = VirtualAddresses()
    assert [again.of(host) for host in addresses] == list(addresses.values())


def test_an_address_does_not_depend_on_who_came_before() -> None:
    alone, late = VirtualAddresses(), VirtualAddresses()
    for number in range(100):
        late.of(f"host-{number}")
    same = sum(alone.of(f"name-{n}") == late.of(f"name-{n}") for n in range(100))
    assert same >= 98  # a hash in 65,534 places falls on one of a hundred others now and then
