"""Every recorded case, whole and byte by byte: what must be refused is, what is legal is served."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from wire import corpus
from wire.conversation import Ended, Heard, bytewise, hear_requests, hear_response
from wire.corpus import Row

DEVIATIONS: dict[str, tuple[str, ...]] = {
    "RFC 9112, 3.2: a 1.1 request without Host MUST be refused; these suites send a second one without": (
        "gunicorn-valid-018",
        "gunicorn-valid-022",
        "gunicorn-valid-023",
        "llhttp-request-connection-02",
        "llhttp-request-sample-09",
        "llhttp-request-sample-13",
    ),
    "RFC 9112, 6.1: a coding we do not know is 501; `identity` was withdrawn; chunked comes last": (
        "gunicorn-valid-025",
        "gunicorn-valid-025_line",
        "gunicorn-valid-029",
        "gunicorn-valid-rfc9112_smuggle_gzip_chunked_01",
        "llhttp-request-transfer-encoding-17",
        "llhttp-response-transfer-encoding-02",
        "llhttp-response-transfer-encoding-03",
        "llhttp-response-transfer-encoding-04",
    ),
    "RFC 9112, 5.2: a folded line is refused, as te-name-12 of the corpus (strict) and gunicorn ask": (
        "lighttpd-044",
        "lighttpd-046",
        "lighttpd-060",
    ),
    "RFC 9110, 4.2.4: userinfo makes one host look like another, as target-05 of the corpus (strict) says": (
        "gunicorn-valid-rfc9112_target_absolute_userinfo_01",
        "llhttp-request-uri-10",
    ),
    "RFC 9112, 3.2.4: the target * is for OPTIONS (M-SEARCH is of UPnP, over UDP)": ("llhttp-request-method-05",),
    "RFC 3986, 2: a target is ASCII, as tchar-03 of the corpus (strict) asks": ("gunicorn-valid-027",),
    "RFC 9112, 6.1: a 1xx must not say that it has a body": (
        "llhttp-response-connection-08",
        "llhttp-response-connection-09",
    ),
    "RFC 9112, 2.2: a stray empty line is forgiven before a request; before a response it is surplus": (
        "llhttp-response-sample-18",
    ),
    "a version that we do not speak (HTTP/0.9)": ("llhttp-response-sample-16",),
    "RFC 1945, 7.2: GET of HTTP/1.0 has no body, as lighttpd-072 asks and HAProxy does": (
        "gunicorn-valid-020",
        "llhttp-request-content-length-07",
    ),
    "RFC 9112, 3.2: Host MUST say what the target does (lighttpd-077); these got another in the recording": (
        "llhttp-request-uri-04",
        "llhttp-request-uri-06",
    ),
    "the bytes end amid a message: nothing is forwarded, and the proxy's timeout ends it": (
        "gunicorn-invalid-rfc9112_chunked_missing_final_crlf_01",
    ),
    "what follows a connection's last message is never read, so it does no harm": ("llhttp-response-connection-06",),
}
"""Rows judged otherwise than their source asks, by reason. None is of level `must` or `strict`."""


def asked_of(row: Row) -> str:
    """What a row asks for. Its level says how badly a refusal is wanted; what is legal has one if others say so."""
    if row.expect == "reject":
        return f"to be refused: {row.level}"
    if row.expect == "accept":
        return f"to be served: {'others' if row.level else 'our own'}"
    return "to be awaited" if row.expect == "wait" else "not settled"


def _hear(row: Row, *, cut: bool) -> Heard:
    pieces = bytewise(row.raw) if cut else [row.raw]
    if row.type == "request":
        return hear_requests(pieces)
    return hear_response(pieces, row.method, closed=row.close)


def _as_expected(row: Row, heard: Heard) -> bool:
    if row.expect == "reject":
        return heard.ended is Ended.REFUSED
    if row.expect == "accept":
        return heard.ended is not Ended.REFUSED and len(heard.messages) == (row.n if row.type == "request" else 1)
    if row.expect == "wait":
        incomplete = heard.ended is Ended.WAIT or (row.type == "response" and heard.why.startswith("the connection"))
        return incomplete or heard.ended is Ended.UNTIL_CLOSE or bool(row.type == "response" and heard.messages)
    return True  # `either` and `any`: only consistency counts


def _otherwise() -> list[tuple[Row, Heard]]:
    judged = [(row, _hear(row, cut=False)) for row in corpus.needed()]
    return [(row, heard) for row, heard in judged if not _as_expected(row, heard)]


@pytest.mark.parametrize("level", ["must", "strict"])
def test_what_the_rfc_or_a_known_exploit_demands_is_refused(level: str) -> None:
    rows = [row for row in corpus.needed() if row.level == level]
    served = {row.id: str(_hear(row, cut=False)) for row in rows if _hear(row, cut=False).ended is not Ended.REFUSED}
    assert rows
    assert served == {}


def test_legal_messages_of_the_own_collection_are_served() -> None:
    rows = [row for row in corpus.needed() if row.expect == "accept" and row.level == ""]
    assert rows
    assert {row.id: str(_hear(row, cut=False)) for row in rows if not _as_expected(row, _hear(row, cut=False))} == {}


def test_every_other_deviation_is_known_and_has_its_reason() -> None:
    known = {row_id for reason in DEVIATIONS.values() for row_id in reason}
    present = {row.id for row in corpus.needed()}
    assert {row.id: str(heard) for row, heard in _otherwise() if row.id not in known} == {}
    assert known & present <= {row.id for row, _ in _otherwise()}, "a deviation is listed that is none"


def test_the_docs_explain_every_deviation() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "explanation" / "strictness.md").read_text()
    listed = set(re.findall(r"`((?:gunicorn|lighttpd|llhttp)-[\w-]+)`", page))
    assert listed == {row_id for reason in DEVIATIONS.values() for row_id in reason}


def test_only_third_party_suites_are_judged_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Counter(map(asked_of, corpus.needed()))
    other = Counter(asked_of(row) for row, _ in _otherwise())
    with capsys.disabled():
        for what, number in sorted(asked.items()):
            print(f"\n  {what:22} {other[what]:3} of {number:3} judged otherwise", end="")
        print()
    must, strict, source = (f"to be refused: {level}" for level in ("must", "strict", "source"))
    assert other[must] == other[strict] == other["to be served: our own"] == 0
    assert other[strict] + other[source] <= (asked[strict] + asked[source]) / 100
    # The suites contradict the RFC, one another and the corpus's own rows: DEVIATIONS says where.
    assert other.total() <= sum(map(len, DEVIATIONS.values()))


def test_the_verdict_does_not_depend_on_how_the_bytes_were_cut() -> None:
    different = {}
    for row in corpus.needed():
        whole, pieces = _hear(row, cut=False), _hear(row, cut=True)
        if (whole.status, whole.gist) != (pieces.status, pieces.gist):
            different[row.id] = f"whole: {whole.status} {whole} / byte by byte: {pieces.status} {pieces}"
    assert different == {}
