"""reviews: what readers say of a book. v1 shows no stars, v2 black ones, v3 red ones.

The version is a matter of environment, as in Istio's images: `ENABLE_RATINGS` and `STAR_COLOR`.
"""

from __future__ import annotations

import os
import socket

from service import Answer, Request, Upstream, as_json, serve

RATINGS_ENABLED = os.environ.get("ENABLE_RATINGS", "false").lower() == "true"
STAR_COLOR = os.environ.get("STAR_COLOR", "black")
RATINGS_TIMEOUT = float(os.environ.get("RATINGS_TIMEOUT", "10"))
"""Seconds. Longer than productpage waits for the reviews themselves: Istio's fault injection task is about that."""

HOSTNAME = os.environ.get("HOSTNAME") or socket.gethostname()
CLUSTER = os.environ.get("CLUSTER_NAME", "null")

REVIEWS = {
    "Reviewer1": "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
    "Reviewer2": "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays "
    "by Shakespeare.",
}

ratings_service = Upstream("ratings")


def health(request: Request) -> Answer:
    return as_json({"status": "Reviews is healthy"})


def reviews(request: Request, product: str) -> Answer:
    if not product.isdigit():
        return as_json({"error": "please provide numeric product id"}, 400)
    written = [{"reviewer": reviewer, "text": text} for reviewer, text in REVIEWS.items()]
    if RATINGS_ENABLED:
        stars = stars_of(product, request)
        for review in written:
            review["rating"] = rating(stars.get(review["reviewer"]))
    return as_json({"id": product, "podname": HOSTNAME, "clustername": CLUSTER, "reviews": written})


def stars_of(product: str, request: Request) -> dict:
    """Reviewer → stars; empty where ratings gave no good answer."""
    status, found = ratings_service.get(f"/ratings/{product}", request.passed_on(), RATINGS_TIMEOUT)
    stars = found.get("ratings") if status == 200 and isinstance(found, dict) else None
    return stars if isinstance(stars, dict) else {}


def rating(stars: object) -> dict:
    if not isinstance(stars, int) or stars < 0:
        return {"error": "Ratings service is currently unavailable"}
    return {"stars": stars, "color": STAR_COLOR}


if __name__ == "__main__":
    serve({r"GET /health": health, r"GET /reviews/([^/]+)": reviews})
