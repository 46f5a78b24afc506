"""All settings, read once from the environment; units are in the names."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

_RATE = re.compile(r"([0-9]{1,9})/(s|m)")
_ADDRESS = re.compile(r"[^@\s<>\"(),:;]+@[^@\s<>\"(),:;]+")


class SettingsError(Exception):
    """A setting that cannot be; the message is one line that names the variable."""


class Rate(Struct, frozen=True):
    """So many requests in so many seconds."""

    requests: int
    period_s: float


class Settings(Struct, frozen=True):
    """One process's settings. URLs are empty until `holdfast up` or the environment gives them."""

    redis_url: str = ""
    queue_url: str = ""
    database_url: str = ""
    shards: int = 64
    ack_timeout_s: float = 10.0
    """How long an order waits for Postgres before it is answered 202 instead of 201."""
    body_bytes_max: int = 2 * 1024 * 1024
    body_timeout_s: float = 30.0
    """How long a body may take to arrive."""
    idle_timeout_s: float = 75.0
    """How long a connection may stay without a whole request; longer than load balancers keep theirs, which is 60."""
    connections_max: int = 10_000
    """Connections that one front door process keeps open at a time."""
    rate_limit: str = ""
    """Requests a token may make, as 100/s or 6000/m, counted by each front door process; empty: any number."""
    auth_failure_limit: str = ""
    """Requests without a valid token that a client's address may make, as rate_limit; empty: any number."""
    order_hot_s: int = 300
    """How long a drained order stays in Redis, so that a slow reader of an old version meets the newer one."""
    cart_listed_s: int = 3600
    """How long an expired cart position stays listed after its deadline. It blocks nothing in that time."""
    redis_appendfsync: str = "everysec"
    """How soon a Redis started by `holdfast up` brings its file to the disk: everysec, always or no."""
    smtp_url: str = ""
    """The server that mails go through; without one they are written to mail_folder."""
    mail_folder: str = "data/mail"
    public_url: str = "http://127.0.0.1:8000"
    """Below which buyers find their orders: for links in mails."""
    log_format: str = "text"
    """How log lines are written: text for people, json for programs."""
    metrics_token: str = ""
    """What Prometheus has to send as bearer token for /metrics; without one only this machine may ask."""
    webhook_networks: str = ""
    """Networks that webhooks may be in though they are not public, as 10.0.0.0/8,fd00::/8."""

    @property
    def rate(self) -> Rate | None:
        """What `rate_limit` says. Raises ValueError."""
        return _rate(self.rate_limit)

    @property
    def auth_failures(self) -> Rate | None:
        """What `auth_failure_limit` says. Raises ValueError."""
        return _rate(self.auth_failure_limit)


def _rate(text: str) -> Rate | None:
    if not text:
        return None
    found = _RATE.fullmatch(text)
    if found is None or not int(found[1]):
        raise ValueError("a rate looks like 100/s or 6000/m")
    return Rate(int(found[1]), 60.0 if found[2] == "m" else 1.0)


class SmtpServer(Struct, frozen=True):
    """What an SMTP URL says. Without `tls` from the first byte, STARTTLS is used where the server offers it."""

    host: str
    port: int
    tls: bool
    user: str
    password: str
    sender: str


def smtp_server(url: str) -> SmtpServer:
    """Return what smtp://user:password@host:port?from=address or smtps://… says. Raises ValueError."""
    parts = urlsplit(url)
    tls = {"smtp": False, "smtps": True}.get(parts.scheme)
    if tls is None or not parts.hostname:
        raise ValueError("no SMTP server is named")
    user = unquote(parts.username or "")
    sender = parse_qs(parts.query).get("from", [user if "@" in user else f"holdfast@{parts.hostname}"])[0]
    if not _ADDRESS.fullmatch(sender):
        raise ValueError("the sender is no address")
    port = parts.port or (465 if tls else 25)
    return SmtpServer(parts.hostname, port, tls, user, unquote(parts.password or ""), sender)


_POSITIVE = (
    "ack_timeout_s",
    "body_bytes_max",
    "body_timeout_s",
    "cart_listed_s",
    "connections_max",
    "idle_timeout_s",
    "order_hot_s",
)


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that a setting lists, with commas in between. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of HOLDFAST_* variables. Raises SettingsError with one clear line."""
    values: dict[str, str | int | float] = {}
    for name, default in zip(Settings.__struct_fields__, Settings.__struct_defaults__, strict=True):
        variable = f"HOLDFAST_{name.upper()}"
        text = environ.get(variable)
        if text is None:
            continue
        kind = type(default)
        try:
            values[name] = kind(text)
        except ValueError:
            raise SettingsError(f"{variable} must be a number, not {text!r}") from None
    settings = Settings(**values)  # type: ignore[arg-type]
    if not settings.mail_folder:
        raise SettingsError("HOLDFAST_MAIL_FOLDER must name a folder")
    try:
        if settings.smtp_url:
            smtp_server(settings.smtp_url)
    except ValueError:
        # what is wrong with it is not told: it may be the password
        raise SettingsError("HOLDFAST_SMTP_URL must look like smtp://user:password@host:25?from=address") from None
    try:
        networks(settings.webhook_networks)
    except ValueError as error:
        raise SettingsError(f"HOLDFAST_WEBHOOK_NETWORKS must be networks like 10.0.0.0/8,fd00::/8: {error}") from None
    _check_operating(settings)
    if not 1 <= settings.shards <= 16384:
        raise SettingsError(f"HOLDFAST_SHARDS must be between 1 and 16384, not {settings.shards}")
    _check_rates(settings)
    for name in _POSITIVE:
        if not 0 < getattr(settings, name) < math.inf:
            raise SettingsError(f"HOLDFAST_{name.upper()} must be more than 0, and finite")
    if settings.redis_appendfsync not in ("everysec", "always", "no"):
        raise SettingsError(
            f"HOLDFAST_REDIS_APPENDFSYNC must be everysec, always or no, not {settings.redis_appendfsync!r}"
        )
    return settings


def _check_rates(settings: Settings) -> None:
    for name in ("rate_limit", "auth_failure_limit"):
        try:
            _rate(getattr(settings, name))
        except ValueError as error:
            raise SettingsError(f"HOLDFAST_{name.upper()}: {error}, not {getattr(settings, name)!r}") from None


def _check_operating(settings: Settings) -> None:
    if settings.log_format not in ("text", "json"):
        raise SettingsError(f"HOLDFAST_LOG_FORMAT must be text or json, not {settings.log_format!r}")
    if not settings.metrics_token.isascii() or any(mark.isspace() for mark in settings.metrics_token):
        raise SettingsError("HOLDFAST_METRICS_TOKEN must be ASCII without spaces")
