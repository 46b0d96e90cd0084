"""Bookinfo does what its users know of Istio's."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from .conftest import EXAMPLES, Service, Town

SRC = EXAMPLES / "bookinfo" / "src"
NO_REVIEWS = "Sorry, product reviews are currently unavailable for this book."
NO_DETAILS = "Sorry, product details are currently unavailable for this book."
NO_RATINGS = "Ratings service is currently unavailable"
BLACK = {"ENABLE_RATINGS": "true", "STAR_COLOR": "black"}
RED = {"ENABLE_RATINGS": "true", "STAR_COLOR": "red"}


class Nowhere:
    """An address that refuses connections."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._held = socket.socket()
        self._held.bind((self.host, 0))
        self.port = self._held.getsockname()[1]

    def close(self) -> None:
        self._held.close()


@pytest.fixture
def nowhere() -> Iterator[Nowhere]:
    made = Nowhere()
    yield made
    made.close()


def page(town: Town, reviews: dict[str, str], **more: str) -> Service:
    ratings = town.start("ratings")
    return town.start(
        "productpage",
        {
            "details": town.start("details"),
            "reviews": town.start("reviews", {"ratings": ratings}, **reviews),
            "ratings": ratings,
        },
        **more,
    )


def login(service: Service, name: str) -> str:
    """Sign in; the cookie that the browser would send from then on."""
    reply = service.ask("POST", "/login", f"username={name}", content_type="application/x-www-form-urlencoded")
    assert (reply.status, reply.headers["location"]) == (302, "/productpage")
    assert "HttpOnly" in reply.headers["set-cookie"]
    return reply.headers["set-cookie"].partition(";")[0]


# The page.


def test_v1_shows_reviews_and_no_stars(town: Town) -> None:
    text = page(town, {}).get("/productpage").text
    assert "<title>Simple Bookstore App</title>" in text
    assert "The slapstick humour is refreshing!" in text
    assert "William Shakespeare" in text
    assert "★" not in text
    assert "unavailable" not in text


@pytest.mark.parametrize(("version", "color"), [(BLACK, "black"), (RED, "red")])
def test_v2_and_v3_show_stars_in_their_color(town: Town, version: dict[str, str], color: str) -> None:
    text = page(town, version).get("/productpage").text
    assert re.findall(r'class="stars" style="color: (\w+)"[^>]*>(★+)', text) == [(color, "★★★★★"), (color, "★★★★")]


def test_ratings_down(town: Town, nowhere: Nowhere) -> None:
    reviews = town.start("reviews", {"ratings": nowhere}, **BLACK)
    front = town.start("productpage", {"details": town.start("details"), "reviews": reviews})
    reply = front.get("/productpage")
    assert reply.status == 200
    assert reply.text.count(NO_RATINGS) == 2
    assert "slapstick" in reply.text
    assert reviews.get("/reviews/0").json["reviews"][0]["rating"] == {"error": NO_RATINGS}


def test_reviews_and_details_down(town: Town, nowhere: Nowhere) -> None:
    front = town.start("productpage", {"details": nowhere, "reviews": nowhere, "ratings": nowhere})
    reply = front.get("/productpage")
    assert reply.status == 200
    assert reply.text.count(NO_REVIEWS) == reply.text.count(NO_DETAILS) == 1
    assert front.get("/api/v1/products/0/reviews").json == {"error": NO_REVIEWS}
    assert front.get("/api/v1/products/0/reviews").status == 500
    assert front.get("/api/v1/products/0").json == {"error": NO_DETAILS}
    assert "Sorry, product ratings are" in front.get("/api/v1/products/0/ratings").text


def test_a_status_of_reviews_is_handed_on(town: Town) -> None:
    """A fault that a mesh injects is seen as what it is: 503 stays 503 in the API."""
    faulty = town.start("ratings", SERVICE_VERSION="v1")  # knows no /reviews: 404
    front = town.start("productpage", {"reviews": faulty, "details": faulty})
    assert front.get("/api/v1/products/0/reviews").status == 404
    assert NO_REVIEWS in front.get("/productpage").text


# Patience.


def test_patience_is_istios() -> None:
    values = "productpage.TIMEOUT, productpage.REVIEWS_ATTEMPTS, reviews.RATINGS_TIMEOUT"
    code = f"import productpage, reviews; print({values})"
    said = subprocess.run([sys.executable, "-B", "-c", code], cwd=SRC, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["3.0", "2", "10.0"]


def test_slow_reviews_are_asked_twice_and_given_up(town: Town) -> None:
    slow = town.standin()
    slow.gate.clear()
    front = town.start("productpage", {"reviews": slow, "details": town.start("details")}, PRODUCTPAGE_TIMEOUT="0.2")
    began = time.monotonic()
    assert NO_REVIEWS in front.get("/productpage").text
    assert 0.4 <= time.monotonic() - began < 3
    assert len(slow.asked) == 2


def test_slow_ratings_are_given_up(town: Town) -> None:
    slow = town.standin()
    slow.gate.clear()
    reviews = town.start("reviews", {"ratings": slow}, RATINGS_TIMEOUT="0.2", **RED)
    assert reviews.get("/reviews/0").json["reviews"][1]["rating"] == {"error": NO_RATINGS}
    assert len(slow.asked) == 1


# Who asks.


def test_login_travels_as_end_user(town: Town) -> None:
    ratings = town.standin({"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}})
    details = town.standin({})
    reviews = town.start("reviews", {"ratings": ratings}, **BLACK)
    front = town.start("productpage", {"details": details, "reviews": reviews})
    cookie = login(front, "jason")
    text = front.get("/productpage", cookie=cookie).text
    assert "jason" in text
    assert "/logout" in text
    assert ratings.asked[0]["end-user"] == details.asked[0]["end-user"] == "jason"
    front.get("/productpage")
    assert "end-user" not in ratings.asked[1]
    assert front.get("/logout").headers["set-cookie"].startswith("session=; Max-Age=0")


def test_names_in_any_script_and_none_that_break_out(town: Town) -> None:
    details = town.standin({})
    front = town.start("productpage", {"details": details, "reviews": details})
    front.get("/productpage", cookie=login(front, "%EC%9E%AC%EC%8A%A8"))
    assert details.asked[0]["end-user"].encode("latin-1").decode() == "재슨"
    assert "&lt;b&gt;" in front.get("/productpage", cookie=login(front, "%3Cb%3E")).text
    for name in ("", "%20", "a%0d%0aevil:1", "x" * 65):
        assert front.ask("POST", "/login", f"username={name}").status == 400


def test_a_forged_session_is_nobodys(town: Town) -> None:
    details = town.standin({})
    front = town.start("productpage", {"details": details, "reviews": details})
    name, _, signature = login(front, "jason").removeprefix("session=").partition(".")
    admin = login(front, "admin").removeprefix("session=").partition(".")[0]
    for forged in (f"{admin}.{signature}", f"{name}.", name, "é.é", "=;=;"):
        front.get("/productpage", cookie=f"session={forged}".encode().decode("latin-1"))
        assert "end-user" not in details.asked[-1]


def test_trace_headers_are_passed_on(town: Town) -> None:
    ratings = town.standin({"ratings": {}})
    reviews = town.start("reviews", {"ratings": ratings}, **BLACK)
    front = town.start("productpage", {"details": ratings, "reviews": reviews})
    sent = {
        "x-request-id": "1b4db7eb",
        "traceparent": "00-80e1afed08e019fc1110464cfa66635c-7a085853722dc6d2-01",
        "tracestate": "vendor=1",
        "x-b3-traceid": "80e1afed08e019fc",
        "x-b3-spanid": "7a085853722dc6d2",
        "x-b3-parentspanid": "6a085853722dc6d2",
        "x-b3-sampled": "1",
        "x-b3-flags": "0",
        "b3": "1",
        "x-ot-span-context": "abc",
        "user-agent": "test/1",
        "authorization": "Bearer abc",
        "cookie": "theme=dark",
    }
    front.get("/productpage", not_passed_on="1", **{name.replace("-", "_"): value for name, value in sent.items()})
    for asked in ratings.asked:  # by productpage for details, by reviews for ratings
        assert {name: asked[name] for name in sent} == sent
        assert "not-passed-on" not in asked
    assert len(ratings.asked) == 2


# The API and the services by themselves.


def test_products(town: Town) -> None:
    front = page(town, BLACK)
    (product,) = front.get("/api/v1/products").json
    assert (product["id"], product["title"]) == (0, "The Comedy of Errors")
    assert front.get("/api/v1/products/0").json["ISBN-10"] == "1234567890"
    assert front.get("/api/v1/products/7/reviews").json["id"] == "7"
    assert front.get("/api/v1/products/0/ratings").json["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}
    assert front.get("/health").text == "Product page is healthy"
    assert front.get("/nothing").status == 404
    assert front.get("/").headers["location"] == "/productpage"


@pytest.mark.parametrize("name", ["details", "ratings", "reviews"])
def test_a_service_by_itself(town: Town, name: str) -> None:
    service = town.start(name)
    assert service.get("/health").json == {"status": f"{name.capitalize()} is healthy"}
    assert service.get(f"/{name}/0").status == 200
    assert service.get(f"/{name}/zero").status == 400
    head = service.ask("HEAD", f"/{name}/0")
    assert (head.status, head.text) == (200, "")
    assert int(head.headers["content-length"]) == len(service.get(f"/{name}/0").text)


def test_ratings_are_kept(town: Town) -> None:
    ratings = town.start("ratings")
    new = '{"Reviewer1": 1, "Reviewer2": 2}'
    assert ratings.ask("POST", "/ratings/0", new).json["ratings"]["Reviewer1"] == 1
    assert ratings.get("/ratings/0").json["ratings"] == {"Reviewer1": 1, "Reviewer2": 2}
    assert ratings.get("/ratings/1").json["ratings"]["Reviewer1"] == 5
    assert ratings.ask("POST", "/ratings/0", "[").status == 400


def test_a_chunked_body_is_understood(town: Town) -> None:
    ratings = town.start("ratings")
    connection = http.client.HTTPConnection(ratings.host, ratings.port, timeout=20)
    connection.request("POST", "/ratings/0", iter([b'{"Reviewer1"', b": 3}"]), encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 200
    assert b'"Reviewer1": 3' in response.read()
    connection.request("GET", "/ratings/0")
    assert connection.getresponse().status == 200, "the connection is still in step"
    connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: -1", 400),
        ("Content-Length: 99999999", 413),
        ("Transfer-Encoding: chunked", 400),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(town: Town, head: str, status: int) -> None:
    ratings = town.start("ratings")
    with socket.create_connection((ratings.host, ratings.port), timeout=20) as connection:
        connection.sendall(f"POST /ratings/0 HTTP/1.1\r\nHost: ratings\r\n{head}\r\n\r\nzz\r\n".encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_faulty_and_unavailable_ratings(town: Town) -> None:
    faulty = town.start("ratings", SERVICE_VERSION="v-faulty")
    assert {faulty.get("/ratings/0").status for _ in range(64)} == {200, 503}


# Life and death.


@pytest.mark.parametrize("name", ["details", "productpage"])
def test_sigterm_ends_an_idle_service_at_once(town: Town, name: str) -> None:
    service = town.start(name)
    began = time.monotonic()
    with socket.create_connection((service.host, service.port)) as kept_alive:
        kept_alive.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept_alive.recv(4096).startswith(b"HTTP/1.1 200 OK")
        assert service.end() == 0
    assert time.monotonic() - began < 2


def test_sigterm_lets_a_request_end(town: Town) -> None:
    ratings = town.standin({"ratings": {"Reviewer1": 2}})
    ratings.gate.clear()
    reviews = town.start("reviews", {"ratings": ratings}, **RED)
    connection = http.client.HTTPConnection(reviews.host, reviews.port, timeout=20)
    connection.request("GET", "/reviews/0")
    while not ratings.asked:
        time.sleep(0.005)  # until the request has come as far as ratings
    reviews.process.terminate()
    while connection_accepted(reviews):
        time.sleep(0.005)  # until it takes in no more
    ratings.gate.set()
    response = connection.getresponse()
    assert response.headers["connection"] == "close"
    assert b'"stars": 2' in response.read()
    connection.close()
    assert reviews.process.wait(timeout=10) == 0


def connection_accepted(service: Service) -> bool:
    try:
        socket.create_connection((service.host, service.port), timeout=5).close()
    except OSError:
        return False
    return True
