"""details: what is printed on the first pages of a book."""

from __future__ import annotations

from service import Answer, Request, as_json, serve


def health(request: Request) -> Answer:
    return as_json({"status": "Details is healthy"})


def details(request: Request, product: str) -> Answer:
    if not product.isdigit():
        return as_json({"error": "please provide numeric product id"}, 400)
    return as_json(
        {
            "id": int(product),
            "author": "William Shakespeare",
            "year": 1595,
            "type": "paperback",
            "pages": 200,
            "publisher": "PublisherA",
            "language": "English",
            "ISBN-10": "1234567890",
            "ISBN-13": "123-1234567890",
        }
    )


if __name__ == "__main__":
    serve({r"GET /health": health, r"GET /details/([^/]+)": details})
