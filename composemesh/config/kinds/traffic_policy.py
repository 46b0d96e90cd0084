"""TrafficPolicy as values of the model."""

from __future__ import annotations

from composemesh.config.kinds.kind import Context
from composemesh.config.schema.messages import Said
from composemesh.config.schema.reading import dotted
from composemesh.model.policy import (
    Balance,
    Balancer,
    ConnectionLimits,
    ConsistentHash,
    H2Upgrade,
    HashKey,
    KeepAlive,
    OutlierDetection,
    TrafficPolicy,
)


def traffic_policy(context: Context, said: Said | None) -> TrafficPolicy:
    """One level: of a destination, a port or a subset."""
    if said is None:
        return TrafficPolicy()
    return TrafficPolicy(
        balance=_balance(said.get("loadBalancer")),
        connections=_connections(context, said.get("connectionPool")),
        outliers=outlier_detection(context, said.get("outlierDetection")),
        proxy_protocol=said["proxyProtocol"].get("version", 1) if "proxyProtocol" in said else 0,
    )


def port_policies(context: Context, said: Said | None) -> dict[int, TrafficPolicy]:
    """`portLevelSettings`, by port."""
    ports: dict[int, TrafficPolicy] = {}
    for level in said.get("portLevelSettings", ()) if said is not None else ():
        port = level["port"].get("number", 0)
        if not port or port in ports:
            what = f"says port {port} twice" if port else "has a `port` without a number"
            context.refuse(level.path, "wrong-value", f"{dotted(level.path)} {what}.")
        ports[port] = traffic_policy(context, level)
    return ports


def _balance(said: Said | None) -> Balance | None:
    if said is None or not {"simple", "consistentHash"} & said.keys():
        return None
    if "consistentHash" not in said:
        return Balance(said["simple"])
    hashed: Said = said["consistentHash"]
    size = hashed.get("ringHash", {}).get("minimumRingSize") or hashed.get("minimumRingSize") or 1024
    cookie: Said | None = hashed.get("httpCookie")
    if cookie is not None:
        key = ConsistentHash(HashKey.COOKIE, cookie["name"], cookie.get("path", ""), cookie.get("ttl"), size)
    elif "httpHeaderName" in hashed:
        key = ConsistentHash(HashKey.HEADER, hashed["httpHeaderName"].lower(), minimum_ring_size=size)
    elif "httpQueryParameterName" in hashed:
        key = ConsistentHash(HashKey.QUERY, hashed["httpQueryParameterName"], minimum_ring_size=size)
    elif hashed.get("useSourceIp"):
        key = ConsistentHash(HashKey.SOURCE_IP, minimum_ring_size=size)
    else:
        return None
    return Balance(Balancer.CONSISTENT_HASH, key)


def _connections(context: Context, said: Said | None) -> ConnectionLimits | None:
    if said is None:
        return None
    tcp, http = said.get("tcp", {}), said.get("http", {})
    upgrade = http.get("h2UpgradePolicy", H2Upgrade.AS_CLIENT)
    if http.get("useClientProtocol") and upgrade is H2Upgrade.ALWAYS:
        message = f"{dotted(said.at('http'))} has `useClientProtocol`, and `h2UpgradePolicy` UPGRADE against it."
        context.refuse(said.at("http", "useClientProtocol"), "conflicting-fields", message)
    alive = tcp.get("tcpKeepalive")
    return ConnectionLimits(
        max_connections=tcp.get("maxConnections", 0),
        connect_timeout=tcp.get("connectTimeout", 10.0),
        keep_alive=_keep_alive(alive) if alive is not None else None,
        max_connection_duration=tcp.get("maxConnectionDuration", 0.0),
        tcp_idle_timeout=tcp.get("idleTimeout", 3600.0),
        max_pending_requests=http.get("http1MaxPendingRequests", 0),
        max_requests=http.get("http2MaxRequests", 0),
        max_requests_per_connection=http.get("maxRequestsPerConnection", 0),
        max_retries=http.get("maxRetries", 0),
        idle_timeout=http.get("idleTimeout", 3600.0),
        h2_upgrade=upgrade,
        max_concurrent_streams=http.get("maxConcurrentStreams", 0),
    )


def _keep_alive(said: Said) -> KeepAlive:
    return KeepAlive(said.get("probes", 0), said.get("time", 0.0), said.get("interval", 0.0))


def outlier_detection(context: Context, said: Said | None) -> OutlierDetection | None:
    if said is None:
        return None
    split = said.get("splitExternalLocalOriginErrors", False)
    local = said.get("consecutiveLocalOriginFailures", 0)
    if local and not split:
        path = said.at("consecutiveLocalOriginFailures")
        message = f"{dotted(path)} counts only where failures without an answer are told apart."
        context.refuse(path, "conflicting-fields", message, "Write splitExternalLocalOriginErrors: true.")
    default = OutlierDetection()
    return OutlierDetection(
        consecutive_5xx=said.get("consecutive5xxErrors", said.get("consecutiveErrors", default.consecutive_5xx)),
        consecutive_gateway_errors=said.get("consecutiveGatewayErrors", 0),
        consecutive_local_origin_failures=local or (5 if split else 0),
        split_external_local_origin_errors=split,
        interval=said.get("interval", default.interval),
        base_ejection_time=said.get("baseEjectionTime", default.base_ejection_time),
        max_ejection_percent=said.get("maxEjectionPercent", default.max_ejection_percent),
        min_health_percent=said.get("minHealthPercent", default.min_health_percent),
    )
