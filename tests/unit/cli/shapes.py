"""A mesh of three services as the admin API describes it, for tests of what is made of it."""

from __future__ import annotations

from typing import Any


def workload(name: str, version: str = "v1", **fields: Any) -> dict[str, Any]:
    said = {
        "name": name,
        "version": version,
        "address": "172.18.0.2",
        "health": "none",
        "captured": True,
        "reason": "",
    }
    return said | fields


def service(name: str, *workloads: dict[str, Any], **fields: Any) -> dict[str, Any]:
    versions = sorted({each["version"] for each in workloads})
    quiet = {"requests_per_second": 0.0, "success_rate": None, "p50_ms": None, "p99_ms": None}
    return {"name": name, "versions": versions, "workloads": list(workloads)} | quiet | fields


def status(*services: dict[str, Any], **fields: Any) -> dict[str, Any]:
    said = {
        "project": "bookinfo",
        "pid": 4711,
        "version": "0.1.0",
        "state": "serving",
        "admin_url": "http://127.0.0.1:15000",
        "xds_url": "",
        "mtls": "off",
        "capture": "netns",
        "services": list(services),
        "problems": [],
    }
    return said | fields


BOOKINFO = status(
    service(
        "productpage",
        workload("bookinfo-productpage-v1-1"),
        requests_per_second=12.34,
        success_rate=1,
        p50_ms=8.2,
        p99_ms=31.0,
    ),
    service(
        "reviews",
        workload("bookinfo-reviews-v1-1"),
        workload("bookinfo-reviews-v2-1", "v2", health="healthy"),
        workload("bookinfo-reviews-v3-1", "v3", health="unhealthy", captured=False, reason="It has no network."),
        requests_per_second=12.3,
        success_rate=0.998,
        p50_ms=4.0,
        p99_ms=1204.0,
    ),
    service("ratings", workload("bookinfo-ratings-v1-1")),
    problems=[
        {
            "severity": "warning",
            "code": "unknown-key",
            "message": "`versoin` is no key of x-mesh.",
            "hint": "Did you mean `version`?",
            "file": "compose.yaml",
            "line": 12,
            "column": 7,
            "resource": "service reviews",
        }
    ],
)

GRAPH: dict[str, Any] = {
    "window_seconds": 60,
    "nodes": [
        {"id": "unknown", "service": "unknown", "version": "unknown", "kind": "unknown"},
        {"id": "productpage/v1", "service": "productpage", "version": "v1", "kind": "service"},
        {"id": "reviews/v2", "service": "reviews", "version": "v2", "kind": "service"},
    ],
    "edges": [
        {"source": "unknown", "destination": "productpage/v1", "protocol": "http", "requests": 200, "errors": 0}
        | {"p50_ms": 8.2, "p99_ms": 31.0, "bytes_sent": 1, "bytes_received": 2, "mtls": False},
        {"source": "productpage/v1", "destination": "reviews/v2", "protocol": "http", "requests": 12345, "errors": 3}
        | {"p50_ms": 0.43, "p99_ms": None, "bytes_sent": 1, "bytes_received": 2, "mtls": False},
    ],
}
