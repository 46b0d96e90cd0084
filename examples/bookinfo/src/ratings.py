"""ratings: how many stars each reviewer gave. Kept in memory; POST replaces those of a book.

`SERVICE_VERSION` may be one of Istio's troublesome versions: v-faulty (half of the answers are 503),
v-delayed (half of them come after seven seconds), v-unavailable (503 for one minute of every two),
v-unhealthy (the same, and its health check says so).
"""

from __future__ import annotations

import json
import os
import random
import time

from service import Answer, Request, as_json, serve

VERSION = os.environ.get("SERVICE_VERSION", "v1")
DELAY = float(os.environ.get("RATINGS_DELAY", "7"))
"""Seconds that v-delayed waits."""

STARTED = time.monotonic()
posted: dict[int, dict] = {}


def health(request: Request) -> Answer:
    if VERSION == "v-unhealthy" and resting():
        return as_json({"status": "Ratings is not healthy"}, 500)
    return as_json({"status": "Ratings is healthy"})


def ratings(request: Request, product: str) -> Answer:
    if not product.isdigit():
        return as_json({"error": "please provide numeric product ID"}, 400)
    if (VERSION == "v-faulty" and random.random() < 0.5) or resting():
        return as_json({"error": "Service unavailable"}, 503)
    if VERSION == "v-delayed" and random.random() < 0.5:
        time.sleep(DELAY)
    stars = posted.get(int(product), {"Reviewer1": 5, "Reviewer2": 4})
    return as_json({"id": int(product), "ratings": stars})


def rate(request: Request, product: str) -> Answer:
    if not product.isdigit():
        return as_json({"error": "please provide numeric product ID"}, 400)
    try:
        stars = json.loads(request.body)
    except ValueError:
        stars = None
    if not isinstance(stars, dict):
        return as_json({"error": "please provide valid ratings JSON"}, 400)
    posted[int(product)] = stars
    return ratings(request, product)


def resting() -> bool:
    """Whether this is the bad minute of a version that has them."""
    return VERSION in ("v-unavailable", "v-unhealthy") and (time.monotonic() - STARTED) % 120 >= 60


if __name__ == "__main__":
    serve({r"GET /health": health, r"GET /ratings/([^/]+)": ratings, r"POST /ratings/([^/]+)": rate})
