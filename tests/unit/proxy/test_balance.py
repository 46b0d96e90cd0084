"""Which target gets the next request: each balancer by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from composemesh.model.policy import Balance, Balancer, ConsistentHash, HashKey
from composemesh.proxy.balance import BALANCERS
from composemesh.proxy.balance.base import Asked, Picker
from composemesh.proxy.balance.consistent_hash import MOST_POINTS, MOST_RINGS, Ring, position
from composemesh.proxy.balance.key import cookie, key_of, new_cookie
from composemesh.proxy.balance.making import Balancers
from composemesh.proxy.balance.random import Random

NOTHING = Asked()
make = Balancers().make
HASH = Balance(Balancer.CONSISTENT_HASH, ConsistentHash(HashKey.HEADER, "x"))


@dataclass(eq=False)
class Target:
    name: str
    host: str = ""
    active: int = 0


def targets(count: int) -> list[Target]:
    return [Target(f"app-{number}", f"10.0.0.{number}") for number in range(count)]


def test_every_kind_is_registered() -> None:
    assert set(BALANCERS) == set(Balancer)


@pytest.mark.parametrize("kind", set(Balancer) - {Balancer.PASSTHROUGH})
def test_one_that_is_passed_over_is_not_picked_and_none_is_where_all_are(kind: Balancer) -> None:
    picker: Picker = make(Balance(kind, HASH.hash))
    some = targets(3)
    asked = [Asked(key=b"%d" % number) for number in range(50)]
    assert {picker.pick(some, [some[1]], one) for one in asked} <= {some[0], some[2]}
    assert {picker.pick(some, some, one) for one in asked} == {None}
    assert picker.pick([], [], NOTHING) is None
    assert picker.pick(some[:1], [], asked[0]) is some[0]


def test_round_robin_is_even_and_shares_the_turn_of_who_is_passed_over() -> None:
    picker, some = make(Balance(Balancer.ROUND_ROBIN)), targets(3)
    assert [picker.pick(some, [], NOTHING) for _ in range(6)] == some * 2
    counted = Counter(picker.pick(some, [some[1]], NOTHING) for _ in range(10))
    assert counted == {some[0]: 5, some[2]: 5}


def test_least_request_counts_its_own_turns() -> None:
    picker, some = make(Balance()), targets(3)
    assert {picker.pick(some, [], NOTHING) for _ in range(3)} == set(some)
    some[0].active = some[1].active = 1
    assert {picker.pick(some, [], NOTHING) for _ in range(3)} == {some[2]}


@pytest.mark.parametrize(("draw", "index"), [(0.0, 0), (0.33, 0), (0.34, 1), (0.999, 2)])
def test_random_gives_each_an_equal_part_of_the_draw(draw: float, index: int) -> None:
    some = targets(3)
    assert Random(Balance(), lambda: draw).pick(some, [], NOTHING) is some[index]


def test_passthrough_knows_one_address_only() -> None:
    picker, some = make(Balance(Balancer.PASSTHROUGH)), targets(3)
    assert picker.pick(some, [], Asked("10.0.0.1")) is some[1]
    assert picker.pick(some, [some[1]], Asked("10.0.0.1")) is some[1]
    assert picker.pick(some, [], Asked("10.0.0.9")) is None


# === the ring ===

KEYS = [b"user-%d" % number for number in range(20_000)]


def spread(ring: Picker, some: list[Target]) -> dict[bytes, str]:
    return {key: ring.pick(some, [], Asked(key=key)).name for key in KEYS}


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_shares_are_about_equal(count: int) -> None:
    shares = Counter(spread(make(HASH), targets(count)).values())
    assert len(shares) == count
    assert max(shares.values()) < 1.15 * len(KEYS) / count
    assert min(shares.values()) > 0.85 * len(KEYS) / count


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_one_that_comes_takes_its_share_and_nothing_else_moves(count: int) -> None:
    ring, some = make(HASH), targets(count + 1)
    before, after = spread(ring, some[:-1]), spread(ring, some)
    moved = {key for key in KEYS if before[key] != after[key]}
    assert {after[key] for key in moved} == {some[-1].name}
    assert len(moved) == pytest.approx(len(KEYS) / (count + 1), rel=0.15)


def test_one_that_goes_or_is_passed_over_leaves_all_others_where_they_are() -> None:
    ring, some = make(HASH), targets(4)
    before, gone = spread(ring, some), spread(ring, some[1:])
    passed_over = {key: ring.pick(some, [some[0]], Asked(key=key)) for key in KEYS}
    for key in KEYS:
        if before[key] != some[0].name:
            assert gone[key] == before[key]
        picked = passed_over[key]
        assert picked is not None
        assert picked.name == gone[key]  # being passed over is like having gone, for as long as it lasts


def test_neither_order_nor_process_nor_past_matters() -> None:
    some = targets(5)
    first = spread(make(HASH), some)
    busy = make(HASH)
    for count in range(1, 5):
        spread(busy, some[:count])
    assert spread(busy, some[::-1]) == first
    assert position(b"user-1") == 0x9AAC5A8621EAE188


def test_without_a_key_anybody_will_do() -> None:
    some = targets(2)
    draws = iter([0.1, 0.9])
    ring = Ring(HASH, lambda: next(draws))
    assert [ring.pick(some, [], NOTHING), ring.pick(some, [], NOTHING)] == some


def test_rings_are_bounded_in_size_and_number() -> None:
    ring = Ring(Balance(Balancer.CONSISTENT_HASH, ConsistentHash(HashKey.HEADER, "x", minimum_ring_size=8_000_000)))
    for count in range(2, MOST_RINGS // 8):
        ring.pick(targets(count), [], Asked(key=b"k"))
    assert f"{MOST_POINTS} points each" in repr(ring)
    small = Ring(HASH)
    for number in range(MOST_RINGS * 2):
        small.pick([Target(f"a-{number}"), Target("b")], [], Asked(key=b"k"))
    assert len(small._rings) <= MOST_RINGS
    assert len(small._points) <= MOST_RINGS + 1


# === keys ===


@pytest.mark.parametrize(
    ("how", "key"),
    [
        (ConsistentHash(HashKey.HEADER, "X-User"), b"jason"),
        (ConsistentHash(HashKey.HEADER, "x-other"), None),
        (ConsistentHash(HashKey.COOKIE, "b"), b"2"),
        (ConsistentHash(HashKey.COOKIE, "c"), None),
        (ConsistentHash(HashKey.COOKIE, "e"), None),
        (ConsistentHash(HashKey.QUERY, "q"), b"a b"),
        (ConsistentHash(HashKey.QUERY, "none"), None),
        (ConsistentHash(HashKey.SOURCE_IP), b"10.0.0.7"),
    ],
)
def test_keys(how: ConsistentHash, key: bytes | None) -> None:
    values = {b"x-user": b"jason", b"cookie": b'a=1; b="2"; abc=3,e='}
    assert key_of(how, values, b"/p?p=q&q=a%20b&q=second", b"10.0.0.7") == key


def test_cookies_without_a_header_or_a_value() -> None:
    assert cookie(b"", b"a") is None
    assert cookie(b"a", b"a") is None
    assert cookie(b"ab=1;a=2", b"a") == b"2"


@pytest.mark.parametrize(
    ("ttl", "path", "attributes"),
    [(0.0, "", b"HttpOnly"), (60.0, "", b"Max-Age=60; HttpOnly"), (1.0, "/x", b"Max-Age=1; Path=/x; HttpOnly")],
)
def test_a_new_cookie_brings_its_key_back(ttl: float, path: str, attributes: bytes) -> None:
    how = ConsistentHash(HashKey.COOKIE, "home", cookie_path=path, cookie_ttl=ttl)
    key, made = new_cookie(how)
    pair, _, rest = made.partition(b"; ")
    assert rest == attributes
    assert key_of(how, {b"cookie": pair}, b"/", b"") == key
    assert new_cookie(how)[0] != key
