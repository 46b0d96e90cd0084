"""The plain decisions of the request path: which endpoint, whether again, which fields, which answer."""

from __future__ import annotations

import re
import socket

import pytest

from composemesh.model.flag import Flag
from composemesh.model.record import unreached
from composemesh.model.workload import Workload
from composemesh.proxy.balance.least_request import pick
from composemesh.proxy.cluster import Cluster, Endpoint, Spoken
from composemesh.proxy.cluster import Target as ClusterTarget
from composemesh.proxy.headers import (
    interim_fields,
    new_request_id,
    nominated,
    request_fields,
    response_fields,
    without_length,
)
from composemesh.proxy.refuse import ANSWERS, Refused, refusal
from composemesh.proxy.retry import RETRIES, may_retry


class Nowhere:
    """A namespace that is never entered."""

    def socket(self, family: int) -> socket.socket:
        raise OSError(family)


class Target:
    def __init__(self, active: int = 0) -> None:
        self.active = active


def test_equals_take_turns_and_the_least_busy_wins() -> None:
    targets = [Target(), Target(), Target()]
    assert [targets.index(pick(targets, turn, ()) or targets[0]) for turn in range(6)] == [0, 1, 2, 0, 1, 2]
    targets[1].active = targets[2].active = 1
    assert {pick(targets, turn, ()) for turn in range(3)} == {targets[0]}


def test_one_that_was_tried_is_not_picked_again() -> None:
    busy, idle = Target(active=100), Target()
    assert pick([busy, idle], 0, ()) is idle
    assert pick([busy, idle], 0, [idle]) is busy
    assert pick([busy, idle], 0, [busy, idle]) is None
    assert pick([], 0, ()) is None


def test_a_port_that_failed_is_the_last_resort_for_a_moment_and_no_other_port_is() -> None:
    endpoints = [Endpoint(Workload(f"w{number}", f"w{number}", "app", "t", 1), unreached("app")) for number in (1, 2)]
    cluster = Cluster(
        "app", tuple(ClusterTarget(each, "10.0.0.1", Nowhere(), each.pools) for each in endpoints), Spoken()
    )
    endpoints[0].failed(80)
    assert {picked.endpoint for _ in range(4) if (picked := cluster.pick(80))} == {endpoints[1]}
    assert {picked.endpoint for _ in range(4) if (picked := cluster.pick(81))} == set(endpoints)
    second = cluster.pick(80)
    assert second is not None
    last = cluster.pick(80, [second])
    assert last is not None
    assert last.endpoint is endpoints[0]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"DELETE", b"get", b"CONNECT"])
@pytest.mark.parametrize("replayable", [True, False])
def test_only_what_changes_nothing_is_sent_twice(method: bytes, replayable: bool) -> None:
    again = may_retry(method, attempt=1, untried=True, body_replayable=replayable, connected=True)
    assert again is (replayable and method in (b"GET", b"HEAD"))
    last = may_retry(method, attempt=RETRIES + 1, untried=True, body_replayable=True, connected=True)
    assert not last
    assert may_retry(method, attempt=99, untried=True, body_replayable=replayable, connected=False) is replayable
    assert not may_retry(method, attempt=RETRIES + 1, untried=False, body_replayable=True, connected=False)


def _values(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in fields}


def test_nominations_are_read_with_their_blanks_and_case_and_some_not_at_all() -> None:
    asked = b" X-A ,x-b,, \tclose,Host,X-Forwarded-For,x-envoy-anything,CONTENT-LENGTH,authorization"
    assert nominated({b"connection": asked}) == {b"x-a", b"x-b", b"close"}
    assert nominated({}) == frozenset()


def test_request_fields_keep_order_and_case_and_leave_the_message_as_it_was() -> None:
    fields = [
        (b"Host", b"a"),
        (b"X-B", b"1"),
        (b"Connection", b"x-b"),
        (b"x-C", b"2"),
        (b"X-Forwarded-Proto", b"https"),
    ]
    before = list(fields)
    out, request_id = request_fields(fields, _values(fields), b"10.0.0.1")
    assert fields == before
    assert out == [
        (b"Host", b"a"),
        (b"x-C", b"2"),
        (b"X-Forwarded-Proto", b"https"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"x-request-id", request_id),
    ]


def test_response_fields_replace_what_only_we_may_say() -> None:
    fields = [
        (b"Server", b"x"),
        (b"X-Envoy-Upstream-Service-Time", b"0"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
    ]
    out = response_fields(fields, _values(fields), 7)
    assert out == [
        *fields[2:],
        (b"x-envoy-upstream-service-time", b"7"),
        (b"server", b"composemesh"),
    ]


def test_interim_fields_and_lengths() -> None:
    fields = [
        (b"Link", b"</a>"),
        (b"Connection", b"x"),
        (b"X", b"1"),
        (b"Content-Length", b"0"),
        (b"Upgrade", b"h2c"),
    ]
    assert interim_fields(fields, _values(fields)) == [(b"Link", b"</a>")]
    assert without_length(fields) == [*fields[:3], fields[4]]


def test_request_ids_are_uuids_of_version_4() -> None:
    made = {new_request_id() for _ in range(100)}
    assert len(made) == 100
    assert all(
        re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one) for one in made
    )


@pytest.mark.parametrize("flag", ANSWERS)
def test_every_refusal_says_what_and_why(flag: Flag) -> None:
    head, body = refusal(Refused(flag, "the detail"))
    assert head.status == ANSWERS[flag][0]
    assert ANSWERS[flag][1].encode() in body
    assert b"the detail (%b)" % flag.value.encode() in body
    fields = dict(head.fields)
    assert fields[b"content-length"] == b"%d" % len(body)
    assert fields[b"x-composemesh-flag"] == flag.value.encode()
