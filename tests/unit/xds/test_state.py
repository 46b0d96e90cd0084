"""State of the world, as conversations."""

from __future__ import annotations

import pytest

from composemesh.xds.session import MOST_TYPES, StateSession
from composemesh.xds.talk import Request
from composemesh.xds.watch import MOST_AT_ONCE, MOST_BYTES, MOST_NAMES, PATIENCE, TooMuch
from unit.xds.conversation import URLS, StateTalk, resource


@pytest.fixture
def talk() -> StateTalk:
    return StateTalk()


def settled(**world: str) -> StateTalk:
    """A client that asked for everything, and has it."""
    talk = StateTalk()
    talk.world(**world)
    for word in ("cluster", "endpoint", "listener", "route"):
        names = "" if word in ("cluster", "listener") else world.get(word, "")
        talk.asks(word, " ".join(name.partition(":")[0] for name in names.split()))
        talk.hears()
        talk.accepts(word)
    assert talk.hears() == []
    return talk


# === subscriptions ===


def test_who_names_nothing_gets_all_clusters(talk: StateTalk) -> None:
    talk.world(cluster="reviews ratings", listener="l")
    talk.asks("cluster")
    assert talk.hears() == ["cluster ratings:1 reviews:1"]
    talk.accepts("cluster")
    assert talk.hears() == []
    assert talk.state("cluster") == "synced"


def test_a_star_means_all_too(talk: StateTalk) -> None:
    talk.world(listener="a b")
    talk.asks("listener", "*")
    assert talk.hears() == ["listener a:1 b:1"]
    talk.accepts("listener")
    talk.world(listener="a b c")
    assert talk.hears() == ["listener a:1 b:1 c:1"]


def test_endpoints_come_by_name_only(talk: StateTalk) -> None:
    talk.world(endpoint="reviews ratings details")
    talk.asks("endpoint", "reviews ratings")
    assert talk.hears() == ["endpoint ratings:1 reviews:1"]


def test_an_empty_world_is_an_answer(talk: StateTalk) -> None:
    """Envoy waits fifteen seconds for its first clusters, there being some or not."""
    talk.asks("cluster")
    assert talk.hears() == ["cluster"]


def test_a_name_that_there_is_not_gets_an_empty_resource(talk: StateTalk) -> None:
    """An EDS cluster without an answer holds up the acknowledgement of all clusters; a listener without its routes
    refuses connections."""
    talk.asks("endpoint", "ghost")
    assert talk.hears() == ["endpoint ghost:empty"]
    talk.accepts("endpoint")
    talk.asks("route", "ghost")
    assert talk.hears() == ["route ghost:empty"]


def test_a_listener_that_there_is_not_is_told_by_an_answer_without_it(talk: StateTalk) -> None:
    """gRPC asks for listeners by name, and takes what an answer lacks for absent."""
    talk.world(listener="svc-a")
    talk.asks("listener", "svc-a svc-b")
    assert talk.hears() == ["listener svc-a:1"]
    talk.accepts("listener")
    assert talk.hears() == []
    talk.world(listener="svc-a svc-b")
    assert talk.hears() == ["listener svc-a:1 svc-b:1"]


def test_new_names_with_the_present_nonce_are_a_subscription(talk: StateTalk) -> None:
    talk.world(endpoint="a b")
    talk.asks("endpoint", "a")
    assert talk.hears() == ["endpoint a:1"]
    talk.accepts("endpoint")
    talk.asks("endpoint", "a b")
    assert talk.hears() == ["endpoint b:1"]


def test_names_that_are_new_while_an_answer_is_under_way_wait_for_its_acknowledgement(talk: StateTalk) -> None:
    talk.world(endpoint="a b")
    talk.asks("endpoint", "a")
    assert talk.hears() == ["endpoint a:1"]
    talk.asks("endpoint", "a b")  # acknowledges, too: its nonce is the present one
    assert talk.hears() == ["endpoint b:1"]


def test_names_that_are_dropped_are_not_sent_any_more(talk: StateTalk) -> None:
    talk.world(endpoint="a b")
    talk.asks("endpoint", "a b")
    talk.hears()
    talk.accepts("endpoint")
    talk.asks("endpoint", "b")
    talk.world(endpoint="a:2 b:2")
    assert talk.hears() == ["endpoint b:2"]


def test_who_drops_all_names_of_listeners_does_not_mean_all(talk: StateTalk) -> None:
    talk.world(listener="a b")
    talk.asks("listener", "a")
    talk.hears()
    talk.accepts("listener")
    talk.asks("listener")
    talk.world(listener="a:2 b:2")
    assert talk.hears() == []


def test_a_name_asked_for_again_is_sent_again(talk: StateTalk) -> None:
    talk.world(endpoint="a b")
    talk.asks("endpoint", "a b")
    talk.hears()
    talk.accepts("endpoint")
    talk.asks("endpoint", "a")
    talk.asks("endpoint", "a b")
    assert talk.hears() == ["endpoint b:1"]


def test_a_request_without_a_nonce_begins_anew(talk: StateTalk) -> None:
    talk.world(cluster="a")
    talk.asks("cluster")
    talk.hears()
    talk.asks("cluster", nonce="")
    assert talk.hears() == ["cluster a:1"]


def test_the_first_request_counts_whatever_its_nonce_says(talk: StateTalk) -> None:
    """A client that kept the nonce of a stream that broke."""
    talk.world(cluster="a")
    talk.asks("cluster", nonce="17")
    assert talk.hears() == ["cluster a:1"]


def test_a_stale_nonce_is_ignored(talk: StateTalk) -> None:
    talk.world(endpoint="a b")
    talk.asks("endpoint", "a")
    talk.hears()
    talk.asks("endpoint", "a b", nonce="stale")
    assert talk.hears() == []
    assert talk.state("endpoint") == "waiting"


def test_a_type_that_nobody_serves_gets_one_empty_answer(talk: StateTalk) -> None:
    talk.asks("type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", "x")
    assert talk.hears() == ["type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"]
    assert talk.hears() == []


# === what changes ===


def test_equal_content_is_silence() -> None:
    talk = settled(cluster="a", endpoint="a", listener="l", route="r")
    talk.world(cluster="a", endpoint="a", listener="l", route="r")
    assert talk.hears() == []


def test_versions_are_of_the_content() -> None:
    one, other = settled(cluster="a b"), settled(cluster="b a")
    assert one.last["cluster"].version == other.last["cluster"].version
    assert one.last["cluster"].version != settled(cluster="a b:2").last["cluster"].version


def test_of_endpoints_only_those_that_changed_are_sent() -> None:
    talk = settled(cluster="a b", endpoint="a b")
    talk.world(cluster="a b", endpoint="a b:2")
    assert talk.hears() == ["endpoint b:2"]


def test_of_listeners_all_are_sent_since_what_lacks_is_deleted() -> None:
    talk = settled(listener="a b")
    talk.world(listener="a b:2")
    assert talk.hears() == ["listener a:1 b:2"]
    talk.accepts("listener")
    talk.world(listener="b:2")
    assert talk.hears() == ["listener b:2"]
    talk.accepts("listener")
    talk.world()
    assert talk.hears() == ["listener"]


def test_one_answer_at_a_time_and_what_comes_meanwhile_comes_together() -> None:
    talk = settled(cluster="a", endpoint="a")
    talk.world(cluster="a", endpoint="a:2")
    assert talk.hears() == ["endpoint a:2"]
    for version in range(3, 50):
        talk.world(cluster="a", endpoint=f"a:{version}")
        assert talk.hears() == []
    talk.accepts("endpoint")
    assert talk.hears() == ["endpoint a:49"]


def test_who_says_nothing_holds_up_the_next_answer_for_two_seconds() -> None:
    """Envoy may be stopped for a moment; or hold its word back."""
    talk = settled(cluster="a", endpoint="a")
    talk.world(cluster="a", endpoint="a:2")
    talk.hears()
    talk.world(cluster="a", endpoint="a:3")
    assert talk.session.wake_at(talk.now) == talk.now + PATIENCE
    talk.passes(PATIENCE - 0.1)
    assert talk.hears() == []
    talk.passes(0.1)
    assert talk.hears() == ["endpoint a:3"]
    talk.accepts("endpoint")
    assert talk.hears() == []
    assert talk.session.wake_at(talk.now) == float("inf")


def test_endpoints_that_vanish_stay_until_nobody_asks_for_them() -> None:
    """Their cluster goes too, but last; until then its calls shall find somebody."""
    talk = settled(cluster="a b", endpoint="a b")
    talk.world(cluster="a b", endpoint="b")
    assert talk.hears() == []


def test_many_endpoints_come_in_several_answers(talk: StateTalk) -> None:
    """gRPC's clients take 4 MiB."""
    large = {name: resource(name)._replace(any_bytes=b"bytes of" + b"x" * (MOST_BYTES // 2)) for name in "abc"}
    talk.session.world = {URLS["endpoint"]: large}
    talk.asks("endpoint", "a b c")
    assert talk.hears() == ["endpoint a:1"]
    talk.accepts("endpoint")
    assert talk.hears() == ["endpoint b:1"]
    talk.accepts("endpoint")
    assert talk.hears() == ["endpoint c:1"]
    talk.accepts("endpoint")
    assert talk.hears() == []


def test_names_that_there_are_not_come_in_several_answers(talk: StateTalk) -> None:
    talk.asks("endpoint", " ".join(f"ghost-{number}" for number in range(MOST_AT_ONCE + 1)))
    assert [len(heard.split()) - 1 for heard in talk.hears()] == [MOST_AT_ONCE]
    talk.accepts("endpoint")
    assert [len(heard.split()) - 1 for heard in talk.hears()] == [1]


# === make before break ===


def test_clusters_and_their_endpoints_come_before_the_routes_to_them() -> None:
    talk = settled(cluster="a", endpoint="a", listener="l", route="r")
    talk.world(cluster="a b", endpoint="a b", listener="l:2", route="r:2")
    assert talk.hears() == ["cluster a:1 b:1"]
    talk.asks("endpoint", "a b")
    assert talk.hears() == ["endpoint b:1"]
    talk.accepts("endpoint")
    assert talk.hears() == []  # the cluster is not warm yet: its acknowledgement says so
    talk.accepts("cluster")
    assert talk.hears() == ["listener l:2", "route r:2"]


def test_clusters_that_never_get_warm_hold_up_routes_for_two_seconds() -> None:
    talk = settled(cluster="a", endpoint="a", listener="l", route="r")
    talk.world(cluster="a:2", endpoint="a", listener="l", route="r:2")
    assert talk.hears() == ["cluster a:2", "endpoint a:1"]
    talk.passes(PATIENCE)
    assert talk.hears() == ["route r:2"]


def test_a_cluster_goes_when_no_route_names_it_any_more() -> None:
    talk = settled(cluster="a b", endpoint="a b", listener="l", route="r")
    talk.world(cluster="a", endpoint="a", listener="l", route="r:2")
    assert talk.hears() == ["route r:2"]
    talk.accepts("route")
    assert talk.hears() == ["cluster a:1"]


def test_while_clusters_come_and_go_those_that_go_are_still_in_the_answer() -> None:
    talk = settled(cluster="a", endpoint="a", listener="l", route="r")
    talk.world(cluster="b", endpoint="b", listener="l", route="r:2")
    assert talk.hears() == ["cluster a:1 b:1"]
    talk.asks("endpoint", "a b")
    assert talk.hears() == ["endpoint b:1"]
    talk.accepts("endpoint", "cluster")
    assert talk.hears() == ["route r:2"]
    talk.accepts("route")
    assert talk.hears() == ["cluster b:1"]


def test_who_refuses_the_newer_routes_keeps_the_clusters_of_the_older() -> None:
    talk = settled(cluster="a b", endpoint="a b", listener="l", route="r")
    talk.world(cluster="b", endpoint="b", listener="l", route="r:2")
    assert talk.hears() == ["route r:2"]
    talk.refuses("route", "no")
    assert talk.hears() == []
    talk.world(cluster="b", endpoint="b", listener="l", route="r:3")
    assert talk.hears() == ["route r:3"]
    talk.accepts("route")
    assert talk.hears() == ["cluster b:1"]


def test_a_changed_cluster_is_told_its_endpoints_again() -> None:
    """Envoy warms it anew and repeats its request, which looks like an acknowledgement; without an answer it waits
    for fifteen seconds."""
    talk = settled(cluster="a b", endpoint="a b")
    talk.world(cluster="a b:2", endpoint="a b")
    assert talk.hears() == ["cluster a:1 b:2", "endpoint b:1"]
    talk.accepts("endpoint", "cluster")
    assert talk.hears() == []


# === refusals ===


def test_what_was_refused_is_not_sent_again_until_it_is_another() -> None:
    talk = settled(cluster="a", endpoint="a")
    talk.world(cluster="a:2", endpoint="a")
    talk.hears()
    talk.accepts("endpoint")
    talk.refuses("cluster", "a: no")
    assert talk.hears() == []
    assert (talk.state("cluster"), talk.refused("cluster")) == ("refused", ("a",))
    talk.world(cluster="a:2", endpoint="a:2")
    assert talk.hears() == ["endpoint a:2"]
    talk.accepts("endpoint")
    talk.world(cluster="a:3", endpoint="a:2")
    assert talk.hears() == ["cluster a:3", "endpoint a:2"]
    talk.accepts("endpoint", "cluster")
    assert talk.state("cluster") == "synced"


def test_of_several_the_named_one_is_set_aside_and_the_others_come() -> None:
    talk = settled(cluster="a good")
    talk.world(cluster="a bad:2 good:2")
    assert talk.hears() == ["cluster a:1 bad:2 good:2"]
    talk.refuses("cluster", "Error adding/updating cluster(s) bad: Proto constraint validation failed")
    assert talk.hears() == ["cluster a:1 good:2"]
    talk.accepts("cluster")
    assert talk.hears() == []
    assert (talk.state("cluster"), talk.refused("cluster")) == ("refused", ("bad",))
    talk.world(cluster="a bad:3 good:2")
    assert talk.hears() == ["cluster a:1 bad:3 good:2"]
    talk.accepts("cluster")
    assert talk.state("cluster") == "synced"


def test_instead_of_what_is_refused_the_client_keeps_what_it_had() -> None:
    talk = settled(cluster="a b")
    talk.world(cluster="a:2 b:2")
    talk.hears()
    talk.refuses("cluster", "cluster 'a' is wrong")
    assert talk.hears() == ["cluster a:1 b:2"]


def test_where_no_name_is_said_all_that_was_new_is_set_aside() -> None:
    talk = settled(cluster="a b c")
    talk.world(cluster="a:2 b:2 c")
    talk.hears()
    talk.refuses("cluster", "invalid")
    assert talk.hears() == []
    assert talk.refused("cluster") == ("a", "b")
    talk.world(cluster="a:2 b:2 c:2")
    assert talk.hears() == ["cluster a:1 b:1 c:2"]


def test_a_part_of_a_name_is_not_the_name() -> None:
    talk = settled(cluster="x")
    talk.world(cluster="x reviews:2 outbound|80|reviews:2")
    talk.hears()
    talk.refuses("cluster", 'name: "outbound|80|reviews" is wrong')
    assert talk.refused("cluster") == ("outbound|80|reviews",)
    assert talk.hears() == ["cluster reviews:2 x:1"]


def test_a_world_that_goes_back_needs_no_push_and_no_problem() -> None:
    talk = settled(cluster="a")
    talk.world(cluster="a:2")
    talk.hears()
    talk.refuses("cluster", "a")
    talk.world(cluster="a")
    assert talk.hears() == []
    assert talk.state("cluster") == "synced"


def test_what_was_refused_and_comes_back_is_known_and_keeps_nothing_from_coming() -> None:
    talk = settled(cluster="a")
    talk.world(cluster="a bad good")
    talk.hears()
    talk.world(cluster="a")
    talk.refuses("cluster", "bad")
    assert talk.hears() == []
    assert talk.state("cluster") == "synced"
    talk.world(cluster="a bad good")
    assert talk.hears() == ["cluster a:1 good:1"]
    assert talk.refused("cluster") == ("bad",)


def test_who_begins_anew_before_it_answers_has_nothing_yet() -> None:
    talk = settled(cluster="a b")
    talk.world(cluster="a b", endpoint="a b")
    talk.asks("endpoint", "a")
    assert talk.hears() == ["endpoint a:1"]
    talk.asks("endpoint", "a b", nonce="")
    assert talk.hears() == ["endpoint a:1 b:1"]
    talk.refuses("endpoint", "a")
    assert talk.refused("endpoint") == ("a",)
    assert talk.hears() == ["endpoint b:1"]


def test_a_refused_set_with_nothing_new_in_it_is_not_sent_again() -> None:
    talk = settled(listener="a b")
    talk.world(listener="a")
    assert talk.hears() == ["listener a:1"]
    talk.refuses("listener", "b is in use")
    assert talk.hears() == []
    assert talk.state("listener") == "refused"


def test_an_error_with_the_latest_version_in_effect_is_of_the_answer_before() -> None:
    """Envoy holds its word back while clusters are warming, and then speaks once for both answers."""
    talk = settled(cluster="a b")
    talk.world(cluster="a:bad b")
    talk.hears()
    talk.passes(PATIENCE)
    talk.world(cluster="a:3 b")
    assert talk.hears() == ["cluster a:3 b:1"]
    talk.refuses("cluster", "a: bad", in_effect=talk.last["cluster"].version)
    assert talk.hears() == []
    assert talk.state("cluster") == "synced"


def test_a_refused_endpoint_does_not_hold_up_the_others() -> None:
    talk = settled(cluster="a b", endpoint="a b")
    talk.world(cluster="a b", endpoint="a:2 b:2")
    talk.hears()
    talk.refuses("endpoint", "a: weight must not be negative")
    assert talk.hears() == ["endpoint b:2"]
    talk.accepts("endpoint")
    assert talk.hears() == []


# === limits ===


def test_a_hundred_thousand_names_are_too_many(talk: StateTalk) -> None:
    with pytest.raises(TooMuch, match="names of endpoints"):
        talk.asks("endpoint", " ".join(f"n{number}" for number in range(MOST_NAMES + 1)))


def test_types_are_not_without_end() -> None:
    session = StateSession()
    for number in range(MOST_TYPES):
        session.hear(Request(f"type.googleapis.com/x.T{number}"))
    with pytest.raises(TooMuch, match="types"):
        session.hear(Request("type.googleapis.com/x.Another"))
