"""`holdfast up` for real: what it says, what it starts, what it starts again, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

START_S = 180


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie that its parent has not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "engine", *(str(a) for a in arguments)]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return kept | variables


class Running:
    """One `holdfast up` and what it wrote."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.ready_file = folder / "ready.json"
        self.output = folder / "up.log"
        arguments = ["up", "--port", "0", "--data-dir", folder / "data", "--ready-file", self.ready_file, *options]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command(*arguments), stdout=output, stderr=output, env=environment(), start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self.ready_file.exists():
            assert self.process.poll() is None, f"it ended: {self.said()}"
            assert time.monotonic() < deadline, f"it is not ready: {self.said()}"
            time.sleep(0.05)

    def ready(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.ready_file.read_text())
        return content

    def pids(self) -> list[int]:
        return [pid for pids in self.ready()["processes"].values() for pid in pids]

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        ready = self.ready()
        url = f"{ready['base_url']}/api/v1/organizers/{ready['organizer']}/{path}"
        answer = httpx.get(url, headers={"Authorization": f"Token {token or ready['token']}"}, timeout=30)
        return answer.status_code, answer.json()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("up"), "--processes", "2")
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


def test_the_ready_file_says_all_that_a_script_needs(up: Running) -> None:
    ready = up.ready()
    assert set(ready) == {
        "base_url", "token", "organizer", "redis_url", "queue_url", "database_url", "processes",
    }  # fmt: skip
    assert ready["organizer"] == "bigevents"
    processes = ready["processes"]
    assert {name: len(pids) for name, pids in processes.items()} == {
        "front_doors": 2, "workers": 1, "redis": 1, "postgres": 1,
    }  # fmt: skip
    assert all(alive(pid) for pid in up.pids())
    assert up.ready_file.stat().st_mode & 0o077 == 0, "it holds a token"


def test_the_demo_sold_one_ticket(up: Running) -> None:
    status, orders = up.get("events/demo/orders/")
    assert status == 200
    assert [order["status"] for order in orders["results"]] == ["p"]
    assert orders["results"][0]["code"] in up.said()


def test_the_printed_curl_line_works(up: Running) -> None:
    said = up.said()
    start = said.index("curl ")
    line = said[start:].split("\n\n")[0]
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["results"][0]["available"] is True


def test_the_token_is_needed(up: Running) -> None:
    assert up.get("events/", token="wrong")[0] == 401


def test_the_demo_command_sells_another_one(up: Running) -> None:
    done = subprocess.run(
        command("demo", "--ready-file", up.ready_file), capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert up.get("events/demo/orders/")[1]["count"] == 2


def test_tokens_are_made_and_revoked_by_command(up: Running) -> None:
    stores = environment(HOLDFAST_DATABASE_URL=up.ready()["database_url"])

    def ask(*arguments: str) -> str:
        done = subprocess.run(command(*arguments), capture_output=True, text=True, env=stores, check=True)
        return done.stdout.strip()

    token = ask("token", "create", "--organizer", "bigevents", "--permission", "can_view_orders")
    assert up.get("events/demo/orders/", token=token)[0] == 200
    ask("token", "revoke", token)
    wait_for(lambda: up.get("events/demo/orders/", token=token)[0] == 401)


def audit(up: Running, *options: str) -> subprocess.CompletedProcess[str]:
    ready = up.ready()
    stores = environment(HOLDFAST_REDIS_URL=ready["redis_url"], HOLDFAST_DATABASE_URL=ready["database_url"])
    return subprocess.run(command("audit", *options), capture_output=True, text=True, env=stores, check=False)


def test_the_audit_command_finds_the_books_right(up: Running) -> None:
    told = audit(up)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "The books are right" in told.stdout
    found = json.loads(audit(up, "--json").stdout)
    assert (found["ok"], found["problems"]) == (True, [])


def test_the_audit_command_tells_of_a_broken_rule(up: Running) -> None:
    with psycopg.connect(up.ready()["database_url"]) as connection:
        connection.execute("UPDATE orders SET total = total + 1")
    told = audit(up)
    with psycopg.connect(up.ready()["database_url"]) as connection:
        connection.execute("UPDATE orders SET total = total - 1")
    assert told.returncode == 1, told.stdout + told.stderr
    assert "BROKEN" in told.stdout


@pytest.mark.parametrize("name", ["front_doors", "workers", "redis", "postgres"])
def test_a_child_killed_with_9_comes_back(up: Running, name: str) -> None:
    victim = up.ready()["processes"][name][0]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: victim not in up.pids())
    wait_for(lambda: all(alive(pid) for pid in up.pids()))
    assert f"(pid {victim}) died; started again as pid" in up.said()
    wait_for(lambda: up.get("events/demo/quotas/?with_availability=true")[0] == 200)
    done = subprocess.run(
        command("demo", "--ready-file", up.ready_file), capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_second_start_on_a_port_in_use_says_so(up: Running, tmp_path: Path) -> None:
    port = up.ready()["base_url"].rpartition(":")[2]
    done = subprocess.run(
        command("up", "--port", port, "--data-dir", tmp_path), capture_output=True, text=True, env=environment(),
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert port in done.stderr


def test_sigterm_stops_everything_and_a_second_start_finds_its_data(up: Running) -> None:
    """The last of the tests that share a server, since it stops it."""
    token, pids = up.ready()["token"], up.pids()
    assert up.end(signal.SIGTERM) == 0
    assert not any(alive(pid) for pid in pids)
    assert not up.ready_file.exists()
    assert "the data is in" in up.said()
    again = Running(up.output.parent, "--no-demo")
    try:
        assert again.ready()["token"] == token
        assert again.get("events/demo/orders/")[1]["count"] >= 2
    finally:
        again.end(signal.SIGINT)


def test_sigkill_leaves_nothing_behind(tmp_path: Path) -> None:
    running = Running(tmp_path, "--no-demo", "--processes", "1")
    pids = running.pids()
    running.end(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize(
    ("variables", "arguments", "word"),
    [
        ({"HOLDFAST_REDIS_URL": "redis://127.0.0.1:1/0"}, ["up", "--port", "0"], "HOLDFAST_REDIS_URL"),
        ({"HOLDFAST_REDIS_URL": "bogus://x"}, ["up", "--port", "0"], "HOLDFAST_REDIS_URL"),
        ({"HOLDFAST_DATABASE_URL": "postgresql://u:p4ss@127.0.0.1:1/x"}, ["migrate"], "HOLDFAST_DATABASE_URL"),
        ({"HOLDFAST_DATABASE_URL": "rubbish"}, ["migrate"], "HOLDFAST_DATABASE_URL"),
        ({}, ["serve"], "HOLDFAST_DATABASE_URL"),
        ({}, ["worker"], "HOLDFAST_DATABASE_URL"),
        ({"HOLDFAST_SHARDS": "many"}, ["up"], "HOLDFAST_SHARDS"),
        ({"HOLDFAST_REDIS_APPENDFSYNC": "maybe"}, ["up"], "HOLDFAST_REDIS_APPENDFSYNC"),
        ({}, ["up", "--port", "70000"], "--port"),
        ({}, ["up", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
        ({}, ["up", "--port", "0", "--data-dir", "/dev/null/data"], "--data-dir"),
        ({}, ["sell"], "sell"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(
    tmp_path: Path, variables: dict[str, str], arguments: list[str], word: str
) -> None:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(**variables), cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert word in done.stderr
    assert "p4ss" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["up"], ["serve"], ["worker"], ["migrate"], ["organizer", "create"], ["token", "create"], ["token", "revoke"],
        ["demo"], ["rush"], ["audit"],
    ],
)  # fmt: skip
def test_every_command_teaches_by_an_example(arguments: list[str]) -> None:
    done = subprocess.run(command(*arguments, "--help"), capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert f"holdfast {' '.join(arguments)}" in done.stdout.partition("\n\n")[2], "no example below the usage line"
