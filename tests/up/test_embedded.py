"""The servers that Holdfast starts itself keep their data, and never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from engine.embedded import binaries
from engine.embedded.postgres import PostgresServer, postgres_server
from engine.embedded.process import StartFailed
from engine.embedded.redis import RedisServer, redis_server

PARENT = """
import sys, time
from pathlib import Path
from engine.embedded.postgres import PostgresServer
from engine.embedded.redis import RedisServer
servers = [RedisServer(Path(sys.argv[1]) / "redis"), PostgresServer(Path(sys.argv[1]) / "postgres")]
for server in servers:
    server.start()
print(*(server.pid for server in servers), flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    """Say whether the process has ended; a zombie that its new parent has not reaped yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still running: {[pid for pid in pids if not gone(pid)]}"
        time.sleep(0.02)


@pytest.fixture
def redis_stopped(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", appendfsync="always")
    yield server
    server.stop()


@pytest.fixture
def postgres_stopped(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path / "postgres")
    yield server
    server.stop()


def test_redis_keeps_its_data_over_kill_and_restart(redis_stopped: RedisServer) -> None:
    redis_stopped.start()
    with redis.Redis.from_url(redis_stopped.url) as client:
        client.set("kept", "yes")
    redis_stopped.kill()
    assert not redis_stopped.alive
    redis_stopped.start()
    with redis.Redis.from_url(redis_stopped.url) as client:
        assert client.get("kept") == b"yes"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.skipif(sys.platform != "linux", reason="a library takes the place of another as Linux does it")
def test_redis_runs_on_an_allocator_that_copes_with_holds_coming_and_going(redis_stopped: RedisServer) -> None:
    redis_stopped.start()
    assert "libmimalloc" in Path(f"/proc/{redis_stopped.pid}/maps").read_text()
    with redis.Redis.from_url(redis_stopped.url) as client:
        for n in range(1000):
            client.set(f"n{n}", "x" * n)
        # the child that writes the file anew goes on with the memory of its parent
        client.bgrewriteaof()
        deadline = time.monotonic() + 30
        while client.info("persistence")["aof_rewrite_in_progress"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"


def test_redis_runs_without_that_allocator(redis_stopped: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_mimalloc", lambda: None)
    redis_stopped.start()
    assert "libmimalloc" not in Path(f"/proc/{redis_stopped.pid}/maps").read_text()


def test_postgres_keeps_its_data_over_kill_and_restart(postgres_stopped: PostgresServer) -> None:
    postgres_stopped.start()
    with psycopg.connect(postgres_stopped.url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    postgres_stopped.kill()
    postgres_stopped.start()
    with psycopg.connect(postgres_stopped.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_postgres_forgets_the_pid_of_a_dead_server_that_another_program_has_now(
    postgres_stopped: PostgresServer,
) -> None:
    postgres_stopped.start()
    postgres_stopped.kill()
    pid_file = postgres_stopped.data / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(postgres_stopped.pid), str(os.getpid()), 1))
    postgres_stopped.start()
    assert postgres_stopped.alive


def test_a_long_path_does_not_hurt_the_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("with space and ü" * 3)
    with redis_server(deep / "redis") as redis_url, postgres_server(deep / "postgres") as database_url:
        with redis.Redis.from_url(redis_url) as client:
            assert client.ping()
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_runs_postgres_on_data_of_another_user_as_that_user(postgres_stopped: PostgresServer) -> None:
    postgres_stopped.folder.mkdir()
    os.chown(postgres_stopped.folder, 65534, 65534)
    postgres_stopped.start()
    assert Path(f"/proc/{postgres_stopped.pid}").stat().st_uid == 65534
    with psycopg.connect(postgres_stopped.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_two_servers_never_share_a_folder(redis_stopped: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_stopped.start()
    monkeypatch.setattr("engine.embedded.process._STOP_S", 0.1)
    with pytest.raises(StartFailed, match="another server is running"):
        RedisServer(redis_stopped.folder).start()


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="argument") as caught:
        RedisServer(tmp_path, appendfsync="sometimes").start()
    assert "\n" not in str(caught.value)


def test_servers_die_with_a_parent_killed_with_9_and_start_again(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
    # At once, while the old servers may still be going down.
    with redis_server(tmp_path / "redis") as redis_url, postgres_server(tmp_path / "postgres") as database_url:
        assert redis_url
        assert database_url
        wait_until_gone(pids)


def test_servers_on_path_are_found_when_no_wheel_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis-server", "postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.redis_binary() == binaries.RedisBinary(tmp_path / "redis-server")
    assert binaries.postgres_binaries().initdb == tmp_path / "initdb"


def test_a_missing_server_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(binaries.ServerMissing, match="HOLDFAST_REDIS_URL"):
        binaries.redis_binary()
