"""Who may do what in Redis: Holdfast's own user has the commands and keys that it needs, and no others.

`default` is the administrator, by a password, for people who look after the server. docs/security.md shows how to make
Holdfast's user on a Redis of one's own.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

ADMINISTRATOR = "default"
HOLDFAST = "holdfast"

KEYS = ("hf1:*", "arq:*")
CHANNELS = ("hf1:*",)

COMMANDS = {
    "connections": "auth hello ping select client|setinfo client|setname client|kill info command",
    "transactions": "multi exec discard watch unwatch",
    "scripts": "evalsha eval script|load script|exists script|flush time",
    "keys": "del exists expire persist pexpire pttl renamenx scan type unlink",
    "hashes": "hdel hexists hget hgetall hkeys hlen hmget hset",
    "sorted sets": (
        "zadd zcard zincrby zmscore zrange zrangebylex zrangebyscore zrem zremrangebyscore zrevrange zscore"
    ),
    "streams": "xadd xdel xinfo|stream xlen xrange xread xsetid xtrim",
    "announcements": "publish subscribe unsubscribe",
    "arq": "dbsize get incr incrby psetex set setex",
    "clusters": "cluster|myid cluster|slots cluster|shards cluster|nodes cluster|info cluster|keyslot",
}
"""What the scripts, the front doors, the workers and the audit call; subcommands behind a bar."""


def rules() -> str:
    """Return what Holdfast's user may do, as ACL SETUSER takes it."""
    commands = [f"+{command}" for group in COMMANDS.values() for command in group.split()]
    return " ".join([f"~{key}" for key in KEYS] + [f"&{channel}" for channel in CHANNELS] + ["-@all"] + commands)


class RedisUsers:
    """Both users of one server; their passwords stay the same over restarts, in a file that its owner alone reads."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "users.acl"
        self._kept = folder / "password"
        self._secret = ""

    def password(self, user: str) -> str:
        """Return the password of a user."""
        assert self._secret, "the users are not there before the server"
        return self._secret if user == ADMINISTRATOR else _hash(f"{user} {self._secret}")

    def ensure(self) -> None:
        """Write both files, anew if somebody has deleted them."""
        if not self._secret and self._kept.exists():
            self._secret = self._kept.read_text(encoding="ascii").strip()
        self._secret = self._secret or secrets.token_hex(32)
        _write(self._kept, f"{self._secret}\n")
        lines = [
            f"user {ADMINISTRATOR} on #{_hash(self.password(ADMINISTRATOR))} ~* &* +@all",
            f"user {HOLDFAST} on #{_hash(self.password(HOLDFAST))} resetchannels {rules()}",
        ]
        _write(self.file, "\n".join(lines) + "\n")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
