"""Holdfast's processes use a Redis user that may do what they do, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from engine.embedded.redis import RedisServer
from engine.embedded.redis_users import COMMANDS, rules
from engine.ledger.scripts import load_scripts


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def limited(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis.own_url) as client:
        yield client


def test_every_command_of_a_script_is_allowed() -> None:
    allowed = {command.partition("|")[0] for group in COMMANDS.values() for command in group.split()}
    called = {
        name.lower()
        for script in load_scripts().values()
        for call in re.findall(r"redis\.call\(([^,)]+(?:'[A-Z]+'[^,)]*)?)", script.text)
        for name in re.findall(r"'([A-Z]+)'", call)
    }
    assert len(called) > 10
    assert called <= allowed


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET dir", "CONFIG SET dir /tmp", "SHUTDOWN", "SAVE", "LASTSAVE",
        "ACL LIST", "ACL SETUSER holdfast allcommands", "MONITOR", "CLIENT LIST", "CLIENT PAUSE 1", "SLAVEOF no one",
        "MODULE LIST", "RENAME hf1:a hf1:b", "MIGRATE h 1 k 0 1", "SWAPDB 0 1", "FUNCTION LIST",
    ],
)  # fmt: skip
def test_other_commands_are_refused(limited: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.execute_command(*command.split())


def test_other_keys_and_channels_are_refused(limited: redis.Redis) -> None:
    limited.hset("hf1:{s00}:event:1", "v", 1)
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.hset("other", "v", 1)
    with pytest.raises(redis.exceptions.NoPermissionError):
        limited.publish("other", "x")
    with pytest.raises(redis.exceptions.ResponseError, match=r"[Pp]ermission|ACL"):
        limited.eval("return redis.call('SET', 'other', 1)", 0)
    with pytest.raises(redis.exceptions.ResponseError, match=r"[Pp]ermission|ACL|allowed"):
        limited.eval("return redis.call('FLUSHALL')", 0)
    limited.delete("hf1:{s00}:event:1")


def test_nobody_gets_in_without_a_password(own_redis: RedisServer) -> None:
    with redis.Redis(unix_socket_path=str(own_redis.socket)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_passwords_are_the_owners_alone_and_stay_over_restarts(tmp_path: Path) -> None:
    first = RedisServer(tmp_path)
    first.start()
    urls = first.url, first.own_url
    first.stop()
    again = RedisServer(tmp_path)
    again.start()
    try:
        assert (again.url, again.own_url) == urls
        for name in ("password", "users.acl"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0
    finally:
        again.stop()
    secret = urls[0].split("@")[0].rpartition(":")[2]
    assert secret not in (tmp_path / "users.acl").read_text()
    assert secret not in urls[1]


def test_a_folder_that_is_lost_under_a_server_gets_its_users_back(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    server.kill()
    (tmp_path / "users.acl").unlink()
    (tmp_path / "password").unlink()
    server.start()
    try:
        with redis.Redis.from_url(server.own_url) as client:
            assert client.ping()
    finally:
        server.stop()


def test_the_document_shows_the_rules_as_they_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    shown = " ".join(text.replace("\\\n", " ").split())
    assert f"ACL SETUSER holdfast on '>PASSWORD' resetchannels {rules()}" in shown


def test_a_running_holdfast_is_refused_nothing(server: Any) -> None:
    """All that tests have done with the shared server until now, and a ticket sold besides."""
    headers = {"Authorization": f"Token {server.token}"}
    with httpx.Client(base_url=f"{server.base_url}/api/v1/organizers/{server.organizer}/", headers=headers) as client:
        body: dict[str, Any] = {
            "name": {"en": "A"},
            "slug": "acl",
            "currency": "EUR",
            "date_from": "2031-01-01T10:00:00Z",
        }
        assert client.post("events/", json=body).status_code == 201
        item = client.post("events/acl/items/", json={"name": {"en": "T"}, "default_price": "1.00"}).json()["id"]
        body = {"name": "All", "size": 5, "items": [item], "variations": []}
        assert client.post("events/acl/quotas/", json=body).status_code == 201
        cart = client.post("events/acl/cartpositions/", json={"item": item, "price": "1.00"}).json()
        assert client.get("events/acl/cartpositions/").json()["count"] == 1
        order = {"email": "a@example.org", "consume_carts": [cart["cart_id"]], "positions": [{"item": item}]}
        assert client.post("events/acl/orders/", json=order).status_code == 201
    with redis.Redis.from_url(server.redis_url) as administrator:
        assert administrator.acl_whoami() == "default"
        users = {client["user"] for client in administrator.client_list()}
        assert "holdfast" in users
        assert administrator.acl_log() == []
