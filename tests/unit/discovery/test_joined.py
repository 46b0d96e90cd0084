"""Who may join, under which name, and for how long."""

from __future__ import annotations

import pytest

from composemesh.discovery.joined import MOST, Joined, Unwelcome
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Attachment, Discovered, Kind, Workload

NOBODY = Discovered()


def names(joined: Joined) -> list[str]:
    return [each.name for each in joined._workloads.value]


def test_a_process_is_a_workload_while_it_stays() -> None:
    joined = Joined()
    with joined.joining("report", "v1", 9000, 7, NOBODY) as workload:
        assert (workload.kind, workload.addresses, workload.ports) == (Kind.PROCESS, ("127.0.0.1",), (9000,))
        settings = Snapshot("shop").settings_of(workload)
        assert (settings.service, settings.version) == ("report", "v1")
        assert names(joined) == ["report-v1"]
    assert names(joined) == []


def test_a_name_is_taken_by_a_container_and_its_aliases() -> None:
    place = Attachment("net", "net", ("10.0.0.2",), ("www",))
    others = Discovered((Workload("id", "shop-web-1", "web", "1", 1, (place,)),))
    for name in ("web", "www", "shop-web-1"):
        with pytest.raises(Unwelcome, match="taken by container shop-web-1"):
            Joined().joining(name, "", 9000, 7, others).__enter__()


def test_a_name_is_taken_by_a_process_of_the_same_version() -> None:
    joined = Joined()
    with joined.joining("report", "v1", 9000, 7, NOBODY):
        with pytest.raises(Unwelcome, match="taken by process 7"):
            joined.joining("report", "v1", 9001, 8, NOBODY).__enter__()
        with pytest.raises(Unwelcome, match="Port 9000 is process 7's"):
            joined.joining("report", "v2", 9000, 8, NOBODY).__enter__()
        with joined.joining("report", "v2", 9001, 8, NOBODY):
            assert names(joined) == ["report-v1", "report-v2"]
    with joined.joining("report", "v1", 9000, 9, NOBODY):
        pass


@pytest.mark.parametrize(
    ("name", "version", "port"),
    [
        ("", "", 80),
        ("Report", "", 80),
        ("a.b", "", 80),
        ("a" * 64, "", 80),
        ("127", "", 80),
        ("a\nb", "", 80),
        ("a", "v 1", 80),
        ("a", "", 0),
        ("a", "", 65536),
    ],
)
def test_what_is_no_name_or_port_is_refused_in_one_line(name: str, version: str, port: int) -> None:
    with pytest.raises(Unwelcome) as refused:
        Joined().joining(name, version, port, 7, NOBODY).__enter__()
    assert str(refused.value).isprintable()


def test_there_is_room_for_so_many() -> None:
    joined = Joined()
    stays = [joined.joining(f"p{number}", "", 9000 + number, 7, NOBODY) for number in range(MOST)]
    for each in stays:
        each.__enter__()
    with pytest.raises(Unwelcome, match="no room"):
        joined.joining("late", "", 8000, 7, NOBODY).__enter__()
    for each in stays:
        each.__exit__(None, None, None)
