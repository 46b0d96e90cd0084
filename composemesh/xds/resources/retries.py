"""When a request is sent again, in Envoy's words, which are Istio's and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from composemesh.xds import protos
from composemesh.xds.resources.units import seconds

if TYPE_CHECKING:
    from composemesh.model.policy import Retry

Json = dict[str, Any]

DEFAULT_RETRIES = 2
DEFAULT_RETRY_ON = "connect-failure,refused-stream,reset-before-request"
"""What may be repeated whatever it is: nothing of it has reached anybody."""
GRPC_CODES = frozenset({"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"})
"""All the conditions that gRPC knows (gRFC A44)."""
MOST_PICKS = 5
"""How often another endpoint is looked for that has not failed this request yet (Istio's number)."""


def retry_policy(retry: Retry | None, proxyless: bool) -> Json:
    """A RetryPolicy; empty for none."""
    if proxyless:
        codes = GRPC_CODES & retry.on if retry is not None and retry.attempts else frozenset()
        return {"retry_on": ",".join(sorted(codes)), "num_retries": retry.attempts} if retry and codes else {}
    if retry is None:
        return {
            "retry_on": DEFAULT_RETRY_ON,
            "num_retries": DEFAULT_RETRIES,
            "retry_host_predicate": [_PREVIOUS_HOSTS],
            "host_selection_retry_max_attempts": MOST_PICKS,
        }
    if not retry.attempts:
        return {}
    words = sorted(retry.on | ({"retriable-status-codes"} if retry.statuses else set()))
    made: Json = {"retry_on": ",".join(words), "num_retries": retry.attempts}
    if retry.statuses:
        made["retriable_status_codes"] = sorted(retry.statuses)
    if retry.per_try_timeout:
        made["per_try_timeout"] = seconds(retry.per_try_timeout)
    if retry.back_off:
        made["retry_back_off"] = {
            "base_interval": seconds(retry.back_off),
            "max_interval": seconds(retry.back_off * 10),
        }
    if retry.ignore_previous_hosts:
        made["retry_host_predicate"] = [_PREVIOUS_HOSTS]
        made["host_selection_retry_max_attempts"] = MOST_PICKS
    return made


_PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": protos.TYPE_URL + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}
