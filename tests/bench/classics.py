"""nginx and haproxy: the origin everybody asks, and two proxies that have been fast for twenty years."""

from __future__ import annotations

from pathlib import Path

from .load import program
from .processes import LOOPBACK

# Room for the longest run: no server here should close a connection because it has served enough.
FOREVER = 1_000_000_000
DESCRIPTORS = 16_384
"""Open files of each server: two for each of several thousand connections."""
BODIES = {"1k": 1 << 10, "64k": 1 << 16}
"""What the origin serves besides its 36 bytes, by path."""

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log stderr error;
worker_rlimit_nofile {descriptors};
events {{ worker_connections {descriptors}; }}
http {{
  access_log off;
  keepalive_requests {forever};
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fastcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi;
  scgi_temp_path {folder}/{name}-scgi;
{content}
}}
"""
ORIGIN = """
  server {{
    listen {loopback}:{port};
    default_type text/plain;
    root {root};
    open_file_cache max=16;
    location / {{ }}
    location = / {{ return 200 "Hello version: v1, instance: origin\\n"; }}
  }}
"""
PROXY = """
  upstream origin {{ server {loopback}:{origin}; keepalive 64; keepalive_requests {forever}; }}
  server {{
    listen {loopback}:{port};
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 6000
defaults
  mode {mode}
{options}
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen in
  bind {loopback}:{port} {tls}
  server origin {loopback}:{origin}
"""

HAPROXY_OPTIONS = {"http": "  option http-keep-alive\n  http-reuse always", "tcp": "  option splice-auto"}


def origin(folder: Path, port: int) -> list[str]:
    """What stands behind every proxy: one nginx worker that answers 36 bytes from memory, or a file of BODIES."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    for name, size in BODIES.items():
        (root / name).write_bytes(size * b"x")
    return _nginx(folder, "origin", ORIGIN.format(loopback=LOOPBACK, port=port, root=root))


def nginx(folder: Path, port: int, origin: int) -> list[str]:
    return _nginx(folder, "nginx", PROXY.format(loopback=LOOPBACK, port=port, origin=origin, forever=FOREVER))


def nginx_edge(folder: Path, port: int, origin: int) -> list[str]:
    """The same with TLS towards clients."""
    tls = f"{port} ssl; ssl_certificate {folder}/edge.pem; ssl_certificate_key {folder}/edge.key"
    return _nginx(folder, "nginx-edge", PROXY.format(loopback=LOOPBACK, port=tls, origin=origin, forever=FOREVER))


def haproxy(folder: Path, port: int, origin: int, mode: str = "http", tls: str = "") -> list[str]:
    """`mode` is haproxy's: `http`, or `tcp`, where it may splice as we do. `tls`: what clients are shown."""
    config = folder / "haproxy.cfg"
    options = HAPROXY_OPTIONS[mode]
    config.write_text(
        HAPROXY.format(loopback=LOOPBACK, port=port, origin=origin, mode=mode, options=options, tls=tls)
    )
    return [program("haproxy"), "-db", "-q", "-f", str(config)]


def _nginx(folder: Path, name: str, content: str) -> list[str]:
    config = folder / f"{name}.conf"
    config.write_text(
        NGINX.format(folder=folder, name=name, forever=FOREVER, descriptors=DESCRIPTORS, content=content)
    )
    return [program("nginx"), "-e", "stderr", "-c", str(config)]
