"""What people are shown of clients: their own words, and nothing that a line can't bear."""

from __future__ import annotations

from collections.abc import Iterable

from composemesh.xds.resource_types import type_of
from composemesh.xds.resources.resource import CLUSTER
from composemesh.xds.roster import MOST_PROBLEMS, MOST_WORDS, Roster, clean
from composemesh.xds.state import StateWatch
from composemesh.xds.watch import Watch


class Member:
    def __init__(self, node: str, *refused: str, words: str = "no") -> None:
        self.node = node
        self.address = "127.0.0.1:1"
        self._watch = StateWatch(type_of(CLUSTER))
        if refused:
            self._watch.refusals.words, self._watch.refusals.names = words, refused

    @property
    def watches(self) -> Iterable[Watch]:
        return (self._watch,)


def roster(*members: Member) -> Roster:
    made = Roster()
    for member in members:
        made.add(member)
    return made


def test_a_row_for_each_client_and_type() -> None:
    one = Member("one", "c", words="bad\nname")
    made = roster(Member("two"), one)
    assert made.rows() == [
        {
            "node": "one",
            "address": "127.0.0.1:1",
            "type": "cluster",
            "version": "",
            "state": "refused",
            "refused": ["c"],
            "message": "bad name",
        },
        {
            "node": "two",
            "address": "127.0.0.1:1",
            "type": "cluster",
            "version": "",
            "state": "waiting",
            "refused": [],
            "message": "",
        },
    ]
    made.remove(one)
    assert [row["node"] for row in made.rows()] == ["two"]
    assert made.problems() == []


def test_a_refusal_is_a_problem_that_names_client_and_resource() -> None:
    (problem,) = roster(Member("one", "reviews", words="weight must not be negative")).problems()
    assert problem.code == "xds-refused"
    assert problem.resource == "cluster reviews"
    assert problem.message == "xDS client one refuses cluster reviews: weight must not be negative"


def test_what_many_refuse_is_one_problem() -> None:
    (problem,) = roster(*(Member(f"e{number}", "c") for number in range(100))).problems()
    assert problem.message == "xDS client e0, e1, e10 and 97 more refuse cluster c: no"


def test_what_one_refuses_of_many_is_a_bounded_list() -> None:
    refused = [f"c{number:03}" for number in range(1000)]
    (problem,) = roster(Member("e", *refused)).problems()
    assert problem.resource == "cluster c000, c001, c002 and 997 more"
    assert len(roster(*(Member("e", name) for name in refused)).problems()) == MOST_PROBLEMS


def test_words_of_strangers_are_one_line_of_what_can_be_shown() -> None:
    assert clean("a\x1b[31m\r\n b\u202ec\x00") == "a [31m b c"
    assert clean("ä <script> 漢") == "ä <script> 漢"
    assert len(clean("x" * 10_000_000)) == MOST_WORDS
    assert clean("\n" * 1000) == ""
