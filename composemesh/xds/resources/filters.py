"""Faults and CORS: filters that every listener has, idle until a route configures them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from composemesh.xds import protos
from composemesh.xds.resources.match import string_match
from composemesh.xds.resources.units import fraction, seconds

if TYPE_CHECKING:
    from composemesh.model.route import Cors, Fault

Json = dict[str, Any]

CORS = "envoy.filters.http.cors"
FAULT = "envoy.filters.http.fault"


def fault(said: Fault) -> Json:
    """A HTTPFault. Delay and abort are drawn apart, as ours are."""
    made: Json = {"@type": protos.TYPE_URL + "envoy.extensions.filters.http.fault.v3.HTTPFault"}
    if said.delay is not None and said.delay.seconds > 0:
        made["delay"] = {
            "fixed_delay": seconds(said.delay.seconds),
            "percentage": fraction(said.delay.percent),
        }
    if said.abort is not None:
        abort: Json = {"percentage": fraction(said.abort.percent)}
        if said.abort.http_status:
            abort["http_status"] = said.abort.http_status
        else:
            abort["grpc_status"] = said.abort.grpc_status
        made["abort"] = abort
    return made


def cors(said: Cors) -> Json:
    """A CorsPolicy."""
    made: Json = {"@type": protos.TYPE_URL + "envoy.extensions.filters.http.cors.v3.CorsPolicy"}
    made["allow_origin_string_match"] = [string_match(match) for match in said.allow_origins]
    for field in ("allow_methods", "allow_headers", "expose_headers"):
        if getattr(said, field):
            made[field] = ",".join(getattr(said, field))
    if said.max_age is not None:
        made["max_age"] = str(int(said.max_age))
    if said.allow_credentials is not None:
        made["allow_credentials"] = said.allow_credentials
    made["forward_not_matching_preflights"] = said.forward_unmatched_preflights
    return made
