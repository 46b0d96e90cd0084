"""productpage: the page that people see, put together from details and reviews.

Its user is kept in a signed cookie and travels to the other services as the header `end-user`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import os
import secrets
import string
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

from service import Answer, Request, Upstream, as_json, serve

TIMEOUT = float(os.environ.get("PRODUCTPAGE_TIMEOUT", "3"))
"""Seconds to wait for an answer of another service."""

REVIEWS_ATTEMPTS = 2
"""Istio's sample asks twice, on purpose: its fault injection task shows what comes of it."""

SECRET = os.environ.get("SESSION_SECRET", "").encode() or secrets.token_bytes(32)
"""Signs the sessions. Instances that share sessions need the same."""

LONGEST_NAME = 64

PRODUCTS = [
    {
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia Summary</a>: '
        "The Comedy of Errors is one of <b>William Shakespeare's</b> early plays, and his shortest. Two pairs of "
        "twins, parted at birth, meet in one town without knowing it: a farce of mistaken identity, slapstick, "
        "puns and word play.",
    }
]

PAGE = string.Template(Path(__file__).with_name("productpage.html").read_text(encoding="utf-8"))

details_service = Upstream("details")
reviews_service = Upstream("reviews")
ratings_service = Upstream("ratings")


# What the services say: a status, and a document or {"error": …}.


def details_of(product: str, request: Request) -> tuple[int, dict]:
    status, found = details_service.get(f"/details/{product}", headers_for(request), TIMEOUT)
    if status == 200:
        return status, found
    return status or 500, {"error": "Sorry, product details are currently unavailable for this book."}


def reviews_of(product: str, request: Request) -> tuple[int, dict]:
    for _ in range(REVIEWS_ATTEMPTS):
        status, found = reviews_service.get(f"/reviews/{product}", headers_for(request), TIMEOUT)
        if status == 200:
            return status, found
    return status or 500, {"error": "Sorry, product reviews are currently unavailable for this book."}


def ratings_of(product: str, request: Request) -> tuple[int, dict]:
    status, found = ratings_service.get(f"/ratings/{product}", headers_for(request), TIMEOUT)
    if status == 200:
        return status, found
    return status or 500, {"error": "Sorry, product ratings are currently unavailable for this book."}


def headers_for(request: Request) -> dict[str, str]:
    user = user_of(request)
    return {**request.passed_on(), **({"end-user": user} if user else {})}


# The session: `session=<name>.<signature>`, both in URL-safe base64.


def user_of(request: Request) -> str:
    """The name that the visitor signed in with; empty where there is none, or the cookie is not of our making."""
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get("session")
    except CookieError:
        return ""
    name, _, signature = (cookie.value if cookie else "").partition(".")
    if not name or not hmac.compare_digest(sign(name).encode(), signature.encode()):
        return ""
    return base64.urlsafe_b64decode(name).decode()


def session(user: str) -> str:
    name = base64.urlsafe_b64encode(user.encode()).decode()
    return f"{name}.{sign(name)}"


def sign(name: str) -> str:
    return base64.urlsafe_b64encode(hmac.digest(SECRET, name.encode(), hashlib.sha256)).decode()


def back_to_the_page(cookie: str) -> Answer:
    cookie += "; Path=/; HttpOnly; SameSite=Lax"
    return Answer(b"", 302, "text/html", (("Location", "/productpage"), ("Set-Cookie", cookie)))


# The routes.


def health(request: Request) -> Answer:
    return Answer(b"Product page is healthy", content_type="text/plain; charset=utf-8")


def index(request: Request) -> Answer:
    return Answer(b"", 302, "text/html", (("Location", "/productpage"),))


def login(request: Request) -> Answer:
    form = parse_qs(request.body.decode("utf-8", "replace"))
    user = form.get("username", [""])[0].strip()
    if not user or len(user) > LONGEST_NAME or not user.isprintable():
        return as_json({"error": "please provide a username"}, 400)
    return back_to_the_page(f"session={session(user)}")


def logout(request: Request) -> Answer:
    return back_to_the_page("session=; Max-Age=0")


def products(request: Request) -> Answer:
    return as_json(PRODUCTS)


def product_details(request: Request, product: str) -> Answer:
    status, found = details_of(product, request)
    return as_json(found, status)


def product_reviews(request: Request, product: str) -> Answer:
    status, found = reviews_of(product, request)
    return as_json(found, status)


def product_ratings(request: Request, product: str) -> Answer:
    status, found = ratings_of(product, request)
    return as_json(found, status)


def productpage(request: Request) -> Answer:
    product = PRODUCTS[0]
    page = PAGE.substitute(
        title=html.escape(product["title"]),
        description=product["descriptionHtml"],
        session=session_markup(user_of(request)),
        details=details_markup(*details_of("0", request)),
        reviews=reviews_markup(*reviews_of("0", request)),
    )
    return Answer(page.encode(), content_type="text/html; charset=utf-8", headers=(("Cache-Control", "no-store"),))


# The parts of the page.


def session_markup(user: str) -> str:
    if not user:
        return SIGN_IN
    name = html.escape(user)
    return f'<p class="user"><i>{name[0].upper()}</i>{name}<a href="/logout">Sign out</a></p>'


SIGN_IN = """<details class="sign-in">
      <summary>Sign in</summary>
      <form method="post" action="/login" name="login_form">
        <label>Username <input name="username" required autocomplete="username"></label>
        <label>Password <input name="passwd" type="password" autocomplete="current-password"></label>
        <button>Sign in</button>
      </form>
    </details>"""


def details_markup(status: int, details: dict) -> str:
    if status != 200:
        return error_markup("Error fetching product details", details)
    rows = "".join(
        f"<div><dt>{label}</dt><dd>{html.escape(str(details.get(key, '?')))}</dd></div>" for label, key in DETAILS
    )
    return f"<h2>Book Details</h2><dl>{rows}</dl>"


DETAILS = (
    ("Author", "author"),
    ("Year", "year"),
    ("Type", "type"),
    ("Pages", "pages"),
    ("Publisher", "publisher"),
    ("Language", "language"),
    ("ISBN-10", "ISBN-10"),
    ("ISBN-13", "ISBN-13"),
)


def reviews_markup(status: int, reviews: dict) -> str:
    if status != 200:
        return error_markup("Error fetching product reviews", reviews)
    cards = "".join(review_markup(review) for review in reviews.get("reviews", []))
    served_by = html.escape(str(reviews.get("podname", "")))
    return (
        f'<h2>Book Reviews</h2><div class="cards">{cards}</div>'
        f'<p class="served">Reviews served by: <code>{served_by}</code></p>'
    )


def review_markup(review: dict) -> str:
    return (
        f"<blockquote>{rating_markup(review.get('rating'))}"
        f"<p>{html.escape(review['text'])}</p><footer>{html.escape(review['reviewer'])}</footer></blockquote>"
    )


def rating_markup(rating: dict | None) -> str:
    if rating is None:
        return ""
    if "error" in rating:
        return f'<p class="error">{html.escape(rating["error"])}</p>'
    stars = min(rating["stars"], 5)
    return (
        f'<p class="stars" style="color: {html.escape(rating["color"])}" role="img" '
        f'aria-label="{stars} of 5 stars">{"★" * stars}{"☆" * (5 - stars)}</p>'
    )


def error_markup(title: str, answer: dict) -> str:
    return f'<h2 class="error">{title}</h2><p class="sorry">{html.escape(answer["error"])}</p>'


if __name__ == "__main__":
    serve(
        {
            r"GET /(?:index\.html)?": index,
            r"GET /productpage": productpage,
            r"POST /login": login,
            r"GET /logout": logout,
            r"GET /health": health,
            r"GET /api/v1/products": products,
            r"GET /api/v1/products/(\d+)": product_details,
            r"GET /api/v1/products/(\d+)/reviews": product_reviews,
            r"GET /api/v1/products/(\d+)/ratings": product_ratings,
        }
    )
