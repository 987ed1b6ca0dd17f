"""Writes the configuration of gateways before several servers: smg's arguments, HAProxy's file.

Both keep a conversation on the server that has its beginning in the cache, as long as the load
allows it. The balancing is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr

SESSION_HEADER = "X-Session-Id"
# A server answers few requests at once: two more than the least busy one end the affinity. smg's
# default of 64 is meant for graphics processors.
BALANCE_ABOVE = 2
QUEUE_S = 600
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - only compared with


def checked_servers(addresses: Sequence[str]) -> list[str]:
    """Return the addresses without a path. Raises WrongUsage."""
    servers = []
    for address in addresses:
        try:
            parts = urlsplit(address)
            usable = parts.scheme == "http" and parts.hostname and parts.port
        except ValueError:
            usable = False
        if not usable or parts.path.strip("/") or parts.query or parts.username:
            raise WrongUsage(
                detail=tr(
                    "“{address}” is not an address like http://10.0.0.2:8080.", address=address
                )
            )
        servers.append(f"http://{parts.netloc}")
    if not servers:
        raise WrongUsage(detail=tr("At least one --server is needed."))
    return servers


def smg_arguments(servers: Sequence[str], host: str, port: int) -> list[str]:
    """Return the arguments of `smg`, without its key."""
    return [
        "launch",
        "--host", host,
        "--port", str(port),
        "--worker-urls", *servers,
        "--policy", "cache_aware",
        "--balance-abs-threshold", str(BALANCE_ABOVE),
        "--queue-timeout-secs", str(QUEUE_S),
        "--health-check-endpoint", "/health/ready",
        "--disable-tokenizer-autoload",
    ]  # fmt: skip


def haproxy_configuration(servers: Sequence[str], host: str, port: int, per_server: int) -> str:
    """Return a configuration of HAProxy 3, which hashes the session header with bounded load.

    `per_server` is the most requests that a server gets at once; the others wait in the gateway.
    """
    bind = "*" if host == ANY_ADDRESS else host
    lines = [
        f"    server replica{number} {urlsplit(server).netloc}"
        for number, server in enumerate(servers, 1)
    ]
    return haproxy_file(f"{bind}:{port}", per_server, "\n".join(lines))


def haproxy_file(bind: str, per_server: int, servers: str) -> str:
    """Return a configuration with these lines of servers."""
    return _HAPROXY.format(
        bind=bind, header=SESSION_HEADER, per_server=per_server, queue_s=QUEUE_S, servers=servers
    )


_HAPROXY = """\
global
    maxconn 4096

defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout queue {queue_s}s
    option redispatch
    retries 3
    retry-on conn-failure empty-response 503

frontend openai
    bind {bind}
    default_backend replicas

backend replicas
    balance hash req.hdr({header})
    hash-type consistent
    hash-balance-factor 150
    option httpchk GET /health/ready
    default-server check inter 2s fall 2 rise 1 maxconn {per_server}
{servers}
"""
