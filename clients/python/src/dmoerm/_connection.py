"""How to reach a router: settings, credentials, channel options."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from .errors import RewardError

RETRY_BUFFER_BYTES = 64 << 20
_RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@dataclass(frozen=True)
class Tls:
    """Files with certificates; read again when they change.

    Attributes:
        ca: authorities of servers.
        cert: this client's certificate, with ``key``, where the server asks for one.
        server_name: the name in the server's certificate, if it is not the host of the target.
    """

    ca: str
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    def stamp(self) -> tuple[float, ...]:
        """Changes with the files."""
        return tuple(os.stat(path).st_mtime for path in (self.ca, self.cert, self.key) if path is not None)

    def credentials(self) -> Any:
        """Of grpcio. Raises RewardError if a file cannot be read."""
        try:
            ca, cert, key = (None if path is None else Path(path).read_bytes() for path in (self.ca, self.cert, self.key))
        except OSError as error:
            raise RewardError("INVALID_ARGUMENT", "BAD_CERTIFICATE", f"a certificate cannot be read: {error}") from error
        return grpc.ssl_channel_credentials(ca, key, cert)


@dataclass(frozen=True)
class Settings:
    """Everything that a client is; plain values, so that clients pickle.

    Attributes:
        target: ``host:port`` or ``dns:///host:port``.
        tls: default plaintext; also from ``DMOERM_CA``, ``DMOERM_CERT``, ``DMOERM_KEY``.
        token: API token; also from ``DMOERM_TOKEN``.
        timeout: seconds for a batch, waits and repeats included.
        rpc_timeout: seconds for one call.
        pin: a revision that alone may answer; ``True``: the one that serves when the client first asks.
    """

    target: str
    tls: Tls | None = None
    token: str | None = None
    timeout: float = 600.0
    rpc_timeout: float = 60.0
    pin: str | bool = False

    def __post_init__(self) -> None:
        if self.token is not None and self.tls is None and not _is_loopback(self.target):
            raise RewardError(
                "INVALID_ARGUMENT",
                "TOKEN_IN_CLEAR",
                f"the token would travel to {self.target} in plaintext; give tls=Tls(ca=...) as well",
                "token",
            )

    @classmethod
    def make(cls, target: str, **settings: Any) -> Settings:
        """With what the environment says where nothing else is said."""
        env = os.environ
        if settings.get("tls") is None and "DMOERM_CA" in env:
            settings["tls"] = Tls(env["DMOERM_CA"], env.get("DMOERM_CERT"), env.get("DMOERM_KEY"))
        if settings.get("token") is None:
            settings["token"] = env.get("DMOERM_TOKEN")
        return cls(target, **settings)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Of every call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def options(self) -> list[tuple[str, Any]]:
        """Of the channel. A request that outgrows the retry buffer, or a throttle that is too small, loses calls in silence."""
        service_config = {
            "loadBalancingConfig": [{"round_robin": {}}],
            "methodConfig": [{"name": [{}], "timeout": f"{self.rpc_timeout}s", "retryPolicy": _RETRY_POLICY}],
            "retryThrottling": {"maxTokens": 1000, "tokenRatio": 1},
        }
        name = self.tls.server_name if self.tls is not None else None
        return [
            ("grpc.service_config", json.dumps(service_config)),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.per_rpc_retry_buffer_size", RETRY_BUFFER_BYTES),
            ("grpc.max_receive_message_length", RETRY_BUFFER_BYTES),
            ("grpc.max_send_message_length", RETRY_BUFFER_BYTES),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.dns_min_time_between_resolutions_ms", 5_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            *([("grpc.ssl_target_name_override", name)] if name is not None else []),
        ]


def _is_loopback(target: str) -> bool:
    addresses = re.sub(r"^(dns|ipv4|ipv6):(//[^/]*/)?", "", target).split(",")
    return all(re.match(r"^(localhost|127\.[\d.]+|\[::1\])(:\d+)?$", address) for address in addresses)
