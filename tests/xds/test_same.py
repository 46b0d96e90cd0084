"""One request by way of our own sidecar and of an Envoy: the callee sees the same, and so does the caller."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from composemesh.stack.processes import Process
from xds.stack import CALLER, Address, Answer, ask, running, running_envoy

PORT = 9380
RULES = r"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec:
  host: echo
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v9, labels: {version: v9}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
    - match: [{uri: {exact: /exact}}, {uri: {exact: /CASE}, ignoreUriCase: true}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {regex: "/r/[0-9]+"}}]
      route: [{destination: {host: echo, subset: v2}}]
      rewrite: {uri: /numbered}
    - match: [{uri: {prefix: /old/}}]
      rewrite: {uri: /}
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {prefix: /renamed}}]
      rewrite: {uri: /new, authority: other.example}
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {prefix: /swap}}]
      rewrite: {uriRegexRewrite: {match: "/swap/([^/]+)/([^/]+)", rewrite: "/\\2/\\1"}}
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {exact: /whole}}]
      rewrite: {uri: /replaced}
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {prefix: /h}, headers: {x-a: {exact: one}, x-b: {prefix: tw}, x-c: {regex: "th.*e"}}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /present}, headers: {x-here: {}}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /absent}, withoutHeaders: {x-gone: {}, x-bad: {exact: "yes"}, x-empty: {regex: ".+"}}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /q}, queryParams: {a: {exact: "1"}, b: {regex: "x+"}}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /m}, method: {exact: POST}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /a}, authority: {prefix: echo}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /l}, sourceLabels: {app: productpage}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /o}, sourceLabels: {app: somebody-else}}]
      route: [{destination: {host: echo, subset: v2}}]
    - match: [{uri: {prefix: /headers}}]
      headers:
        request:
          set: {x-set: rule, x-both: rule, x-from: "%REQ(x-user)% at 100%"}
          add: {x-add: rule}
          remove: [x-gone]
        response: {set: {x-old: changed}, add: {x-more: "1"}, remove: [content-type]}
      route:
        - destination: {host: echo, subset: v1}
          headers: {request: {set: {x-both: arm, x-arm: "yes", host: arm.example}, add: {x-add: arm}}}
    - match: [{uri: {exact: /redirect}}]
      redirect: {uri: /there, authority: elsewhere.example, scheme: https, redirectCode: 308}
    - match: [{uri: {exact: /redirect-port}}]
      redirect: {port: 8443, redirectCode: 302}
    - match: [{uri: {exact: /redirect-same}}]
      redirect: {derivePort: FROM_REQUEST_PORT, redirectCode: 307}
    - match: [{uri: {exact: /redirect-query}}]
      redirect: {uri: "/there?own=1"}
    - match: [{uri: {exact: /teapot}}]
      directResponse: {status: 418, body: {string: short and stout}}
    - match: [{uri: {exact: /nothing}}]
      directResponse: {status: 204}
    - match: [{uri: {exact: /fail}}]
      fault: {abort: {httpStatus: 555, percentage: {value: 100}}}
      route: [{destination: {host: echo}}]
    - match: [{uri: {exact: /lost}}]
      route: [{destination: {host: echo, subset: v7}}]
    - match: [{uri: {exact: /nobody}}]
      route: [{destination: {host: echo, subset: v9}}]
    - match: [{uri: {prefix: /cors}}]
      corsPolicy:
        allowOrigins: [{exact: "https://a.example"}, {regex: "https://.*\\.b\\.example"}]
        allowMethods: [GET, PUT]
        allowHeaders: [x-a, x-b]
        exposeHeaders: [x-old]
        maxAge: 1h
        allowCredentials: true
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {prefix: /again}}]
      retries: {attempts: 2, retryOn: "5xx,418", backoff: 1ms}
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {prefix: /}, headers: {x-default: {exact: "yes"}}}]
      route: [{destination: {host: echo, subset: v1}}]
    - match: [{uri: {prefix: /ot}}]
      route: [{destination: {host: other}}]
"""
ORIGIN = {"origin": "https://a.example"}
PREFLIGHT = {**ORIGIN, "access_control_request_method": "PUT"}
REQUESTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    *[("GET", path, {}) for path in ("/exact", "/exact?a=b", "/exact/", "/EXACT", "/case", "/CASE", "/exactly")],
    *[("GET", path, {}) for path in ("/r/12", "/r/x", "/r/12?q", "/r/12/3", "/old/path?q=1", "/old/", "/old")],
    *[
        ("GET", path, {})
        for path in ("/renamed", "/renamed/x?q=%20", "/renamedx", "/swap/a/b?c", "/swap/a", "/whole?x")
    ],
    ("GET", "/h", {"x_a": "one", "x_b": "two", "x_c": "three"}),
    ("GET", "/h", {"x_a": "one", "x_b": "two", "x_c": "threes"}),
    ("GET", "/h", {"x_a": "ONE", "x_b": "two", "x_c": "three"}),
    *[("GET", "/present", each) for each in ({}, {"x_here": "1"}, {"x_here": ""})],
    *[
        ("GET", "/absent", each)
        for each in ({}, {"x_gone": "1"}, {"x_bad": "yes"}, {"x_bad": "no"}, {"x_empty": "1"})
    ],
    *[("GET", path, {}) for path in ("/q?a=1&b=xx", "/q?b=x&a=1&a=2", "/q?a=2&a=1&b=x", "/q?a=1", "/q", "/q?a=1&b=")],
    *[(method, "/m", {}) for method in ("GET", "POST", "HEAD")],
    *[("GET", path, {}) for path in ("/a", "/l", "/o", "/other", "/")],
    ("GET", "/headers", {"x_user": "jason", "x_gone": "1", "x_set": "caller", "x_add": "caller"}),
    ("GET", "/headers/deep?q", {}),
    *[
        ("GET", path, {})
        for path in ("/redirect", "/redirect?q=1", "/redirect-port", "/redirect-same", "/redirect-query")
    ],
    *[("GET", path, {}) for path in ("/teapot", "/nothing", "/fail", "/lost", "/nobody", "/unknown")],
    ("GET", "/cors", {}),
    ("GET", "/cors", ORIGIN),
    ("GET", "/cors", {"origin": "https://x.b.example"}),
    ("GET", "/cors", {"origin": "https://evil.example"}),
    ("OPTIONS", "/cors", PREFLIGHT),
    ("OPTIONS", "/cors", {**PREFLIGHT, "origin": "https://evil.example"}),
    ("OPTIONS", "/cors", ORIGIN),
    ("GET", "/again", {"x_answer": "503"}),
    ("GET", "/again", {"x_answer": "418"}),
    ("GET", "/again", {"x_answer": "404"}),
    ("GET", "/%41?x=%zz", {"x_default": "yes"}),
    ("GET", "//double//slash", {"x_default": "yes"}),
    ("GET", "/dots/../x", {"x_default": "yes"}),
)
OWN = ("x-composemesh-", "x-envoy-", "x-request-id", "x-forwarded-", "x-b3-", "traceparent")
"""What each data plane tells in its own way."""


class Ways(NamedTuple):
    """Where the caller finds the same service."""

    sidecar: Address
    envoy: Address


@pytest.fixture(scope="module")
def scripts() -> tuple[Process, ...]:
    script = Path(__file__).with_name("echo.py")
    return (
        Process(CALLER, script, PORT, calls=("echo", "other")),
        Process("echo-v1", script, PORT, aliases=("echo",)),
        Process("echo-v2", script, PORT, aliases=("echo",)),
        Process("other", script, PORT),
    )


@pytest.fixture
async def ways(scripts: tuple[Process, ...], tmp_path: Path) -> AsyncIterator[Ways]:
    async with running(scripts, tmp_path) as stack, stack.mesh() as mesh:
        await mesh.apply(RULES)
        async with running_envoy(mesh, "ads", tmp_path) as envoy:
            await envoy.serves("echo")
            yield Ways(stack.door("echo"), envoy.addresses["echo"])


def shown(answer: Answer) -> dict[str, Any]:
    """What of an answer must be the same, and of the request that the application saw."""
    said: dict[str, Any] = {"status": answer.status}
    said |= {name: value for name, value in answer.fields.items() if _is_ours(name)}
    if "access-control-allow-methods" in said:
        said.pop("access-control-expose-headers", None)  # Envoy tells it to preflights, too, which nobody reads
    if "location" in answer.fields:
        said["location"] = answer.fields["location"]
    try:
        seen = json.loads(answer.body)
    except ValueError:
        return said | {"body": answer.body if answer.status == 418 else b""}
    fields = {name: value for name, value in seen["fields"].items() if _is_ours(name) or name == "host"}
    return said | {"method": seen["method"], "path": seen["path"], "fields": fields, "who": seen["who"]}


def _is_ours(name: str) -> bool:
    return (name.startswith(("x-", "access-control-"))) and not name.startswith(OWN)


async def test_a_request_is_the_same_by_both_ways(ways: Ways) -> None:
    wrong = []
    for method, path, headers in REQUESTS:
        said = [shown(await ask(address, path, method=method, host=f"echo:{PORT}", **headers)) for address in ways]
        if said[0] != said[1]:
            wrong.append((method, path, headers, *said))
    assert not wrong, "\n".join(
        f"{method} {path} {headers}\n  sidecar {a}\n  envoy   {b}" for method, path, headers, a, b in wrong
    )


async def test_the_requests_above_tell_the_rules_apart(ways: Ways) -> None:
    """The test above can fail: they meet each rule, and see every kind of answer."""
    said = [
        shown(await ask(ways.envoy, path, method=method, host=f"echo:{PORT}", **fields))
        for method, path, fields in REQUESTS
    ]
    assert all(each["status"] for each in said)
    assert {each["status"] for each in said} >= {200, 204, 301, 302, 307, 308, 404, 418, 503, 555}
    assert {each["who"] for each in said if "who" in each} == {"echo-v1", "echo-v2", "other"}
