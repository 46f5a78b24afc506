"""From an answer to the lines in the log that are about it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

PATH = "/api/v1/organizers/"


def test_each_answer_has_an_id_of_its_own(own: Any) -> None:
    with httpx.Client(headers={"Authorization": f"Token {own.token}"}) as client:
        fine = [client.get(own.base_url + PATH) for _ in range(3)]
        bad = [client.get(own.base_url + PATH, headers={"Authorization": ""}), client.get(own.base_url + "/api/x/")]
    assert [answer.status_code for answer in [*fine, *bad]] == [200, 200, 200, 401, 404]
    assert len({answer.headers["X-Request-ID"] for answer in [*fine, *bad]}) == 5


def test_a_clients_own_id_comes_back(own: Any) -> None:
    for sent in ("7f3c-rush/42", "1-67891233-abcdef012345678912345678", "x" * 128):
        answer = httpx.get(own.base_url + PATH, headers={"X-Request-ID": sent})
        assert answer.headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'a"b', "a\tb", "é".encode(), b"\xff\xfe", "[31m"])
def test_one_that_does_not_belong_into_a_log_is_replaced(own: Any, sent: str | bytes) -> None:
    raw = sent if isinstance(sent, bytes) else sent.encode()
    answer = httpx.get(own.base_url + PATH, headers=[(b"X-Request-ID", raw)])
    assert answer.status_code == 401
    assert answer.headers["X-Request-ID"].isascii()
    assert answer.headers["X-Request-ID"] not in ("", sent)


def test_a_replayed_reply_has_the_id_of_the_request_that_got_it(own: Any) -> None:
    headers = {"Authorization": f"Token {own.token}", "X-Idempotency-Key": f"once-{time.time()}"}
    url = f"{own.base_url}{PATH}{own.organizer}/events/"
    answers = [httpx.post(url, json={"slug": "!"}, headers=headers | {"X-Request-ID": name}) for name in "ab"]
    assert answers[0].content == answers[1].content
    assert [answer.headers["X-Request-ID"] for answer in answers] == ["a", "b"]


@pytest.mark.parametrize("kind", ["json", "text"])
def test_log_lines_name_the_request_that_they_are_about(own: Any, door: Callable[..., Any], kind: str) -> None:
    started = door(LOG_FORMAT=kind)
    headers = {"Authorization": f"Token {own.token}"}
    assert httpx.get(started.base_url + PATH, headers=headers).status_code == 200
    [postgres] = own.processes["postgres"]
    with open(f"/proc/{postgres}/task/{postgres}/children") as found:
        pids = [postgres, *map(int, found.read().split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.2)  # then the token has to be confirmed, and the door says that nobody did
        headers |= {"X-Request-ID": "find-me"}
        httpx.get(started.base_url + PATH, headers=headers, timeout=60)
        deadline = time.monotonic() + 60
        while b"find-me" not in started.log.read_bytes():
            assert time.monotonic() < deadline, started.log.read_text()
            time.sleep(0.1)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    lines = started.log.read_text().splitlines()
    [line, *_] = [line for line in lines if "find-me" in line]
    if kind == "text":
        assert line.endswith("[find-me]")
    else:
        parsed = [json.loads(one) for one in lines]
        assert all({"time", "level", "logger", "message", "pid"} <= one.keys() for one in parsed)
        assert json.loads(line)["request_id"] == "find-me"
