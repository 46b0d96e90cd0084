"""Delta, as conversations. What both variants share stands in `test_state`."""

from __future__ import annotations

import pytest

from composemesh.xds.watch import MOST_NAMES, PATIENCE, TooMuch
from unit.xds.conversation import DeltaTalk


@pytest.fixture
def talk() -> DeltaTalk:
    return DeltaTalk()


def settled(**world: str) -> DeltaTalk:
    """A client that asked for everything, and has it."""
    talk = DeltaTalk()
    talk.world(**world)
    for word in ("cluster", "endpoint", "listener", "route"):
        named = " ".join(name.partition(":")[0] for name in world.get(word, "").split())
        talk.asks(word, "" if word in ("cluster", "listener") else named)
        talk.hears()
        talk.accepts(word)
    assert talk.hears() == []
    return talk


def test_who_names_nothing_at_first_gets_all(talk: DeltaTalk) -> None:
    talk.world(cluster="a b")
    talk.asks("cluster")
    assert talk.hears() == ["cluster a:1 b:1"]


def test_a_star_is_taken_and_given_back(talk: DeltaTalk) -> None:
    talk.world(cluster="a b")
    talk.asks("cluster", "* b")
    assert talk.hears() == ["cluster a:1 b:1"]
    talk.accepts("cluster")
    talk.asks("cluster", no_more="*")
    talk.world(cluster="a:2 b:2 c")
    assert talk.hears() == ["cluster b:2"]


def test_an_empty_world_is_an_answer(talk: DeltaTalk) -> None:
    talk.asks("cluster")
    assert talk.hears() == ["cluster"]


def test_only_what_changed_is_sent_and_what_is_gone_is_named() -> None:
    talk = settled(cluster="a b c", listener="l m")
    talk.world(cluster="a b:2", listener="l")
    assert talk.hears() == ["cluster b:2"]
    talk.accepts("cluster")
    assert talk.hears() == ["listener -m"]
    talk.accepts("listener")
    assert talk.hears() == ["cluster -c"]
    talk.accepts("cluster")
    assert talk.hears() == []


def test_a_name_that_there_is_not_is_answered_at_once(talk: DeltaTalk) -> None:
    talk.asks("endpoint", "ghost")
    assert talk.hears() == ["endpoint ghost:empty"]
    talk.accepts("endpoint")
    talk.asks("listener", "ghost")
    assert talk.hears() == ["listener -ghost"]
    talk.accepts("listener")
    assert talk.hears() == []


def test_what_was_not_there_and_comes_is_sent(talk: DeltaTalk) -> None:
    talk.asks("listener", "ghost")
    talk.hears()
    talk.accepts("listener")
    talk.world(listener="ghost other")
    assert talk.hears() == ["listener ghost:1"]


def test_who_comes_back_with_versions_gets_the_differences(talk: DeltaTalk) -> None:
    """Envoy, after the mesh was restarted."""
    talk.world(cluster="a b:2 d", endpoint="a b")
    talk.asks("cluster", initial={"a": "1", "b": "1", "c": "1"})
    talk.asks("endpoint", "a b", initial={"a": "1", "b": "1"})
    assert talk.hears() == ["cluster b:2 d:1", "endpoint b:1"]  # b is warmed anew
    talk.accepts("endpoint", "cluster")
    assert talk.hears() == ["cluster -c"]


def test_who_comes_back_with_all_there_is_hears_that_it_is_all(talk: DeltaTalk) -> None:
    talk.world(cluster="a")
    talk.asks("cluster", initial={"a": "1"})
    assert talk.hears() == ["cluster"]


def test_endpoints_known_from_before_that_are_gone_are_emptied_when_asked_for_anew(talk: DeltaTalk) -> None:
    talk.asks("endpoint", "a", initial={"a": "7"})
    talk.hears()
    talk.accepts("endpoint")
    talk.asks("endpoint", "a")
    assert talk.hears() == ["endpoint a:empty"]


def test_a_name_subscribed_again_is_sent_again() -> None:
    talk = settled(endpoint="a b")
    talk.asks("endpoint", "a")
    assert talk.hears() == ["endpoint a:1"]


def test_a_name_no_more_wanted_is_not_sent() -> None:
    talk = settled(endpoint="a b")
    talk.asks("endpoint", no_more="a")
    talk.world(endpoint="a:2 b:2")
    assert talk.hears() == ["endpoint b:2"]


def test_subscriptions_count_whatever_the_nonce_says() -> None:
    talk = settled(endpoint="a")
    talk.world(endpoint="a b")
    talk.asks("endpoint", "b", nonce="stale", error="what?")
    assert talk.hears() == ["endpoint b:1"]
    assert talk.state("endpoint") == "waiting"


def test_several_answers_may_be_under_way_where_a_client_is_slow() -> None:
    talk = settled(endpoint="a")
    pushes = []
    for version in (2, 3):
        talk.world(endpoint=f"a:{version}")
        assert talk.hears() == [f"endpoint a:{version}"]
        pushes.append(talk.last["endpoint"])
        talk.passes(PATIENCE)
    for push in pushes:
        talk.last["endpoint"] = push
        talk.accepts("endpoint")
    assert talk.state("endpoint") == "synced"


def test_an_earlier_answer_that_is_refused_late_takes_nothing_of_the_later_one_back() -> None:
    talk = settled(endpoint="a b")
    talk.world(endpoint="a:2 b")
    talk.hears()
    earlier = talk.last["endpoint"]
    talk.passes(PATIENCE)
    talk.world(endpoint="a:3 b")
    assert talk.hears() == ["endpoint a:3"]
    later, talk.last["endpoint"] = talk.last["endpoint"], earlier
    talk.refuses("endpoint", "a: no")
    talk.last["endpoint"] = later
    talk.accepts("endpoint")
    assert talk.hears() == []
    assert talk.state("endpoint") == "synced"


def test_of_a_refused_answer_the_good_part_comes_again() -> None:
    """One invalid message makes Envoy drop the whole answer; of one that it cannot carry out it takes the rest."""
    talk = settled(cluster="a")
    talk.world(cluster="a bad good")
    assert talk.hears() == ["cluster bad:1 good:1"]
    talk.refuses("cluster", "Error adding/updating cluster(s) bad: no")
    assert talk.hears() == ["cluster good:1"]
    talk.accepts("cluster")
    assert talk.hears() == []
    assert talk.refused("cluster") == ("bad",)


def test_what_is_refused_and_goes_is_forgotten() -> None:
    talk = settled(cluster="a")
    talk.world(cluster="a bad")
    talk.hears()
    talk.refuses("cluster", "bad")
    talk.world(cluster="a")
    assert talk.hears() == []
    assert talk.state("cluster") == "synced"


def test_a_changed_cluster_is_told_its_endpoints_again() -> None:
    """Envoy warms it anew, and asks for nothing."""
    talk = settled(cluster="a b", endpoint="a b")
    talk.world(cluster="a:2 b", endpoint="a b")
    assert talk.hears() == ["cluster a:2", "endpoint a:1"]


def test_a_hundred_thousand_names_are_too_many(talk: DeltaTalk) -> None:
    with pytest.raises(TooMuch, match="names of endpoints"):
        talk.asks("endpoint", " ".join(f"n{number}" for number in range(MOST_NAMES + 1)))
    with pytest.raises(TooMuch, match="versions"):
        DeltaTalk().asks("cluster", initial={f"n{number}": "" for number in range(MOST_NAMES + 1)})
