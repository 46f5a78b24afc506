"""Which addresses may be called, and what comes of calls that go wrong."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address

import pytest

from engine.settings import SettingsError, from_environment, networks
from workers import calling
from workers.calling import Caller, NotCalled, public


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_the_internet_may_be_called(address):
    assert public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%lo", "fd00::1"),
        *("fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1"),
        *("2001:db8::1", "::127.0.0.1", "64:ff9b:1::1"),
    ],
)
def test_nothing_else_may(address):
    assert not public(ip_address(address))


def test_networks_are_listed_with_commas():
    assert [str(network) for network in networks("10.0.0.0/8, ::1,")] == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(SettingsError, match="HOLDFAST_WEBHOOK_NETWORKS"):
        from_environment({"HOLDFAST_WEBHOOK_NETWORKS": "10.0.0.1/8"})


async def call(url, *, answer, allowed="127.0.0.1/32"):
    """Call a server that writes `answer`, again and again, and never ends; return (status, bytes that it wrote)."""
    wrote = 0

    async def serve(reader, writer):
        nonlocal wrote
        try:
            head, more = answer
            writer.write(head)
            while more:
                writer.write(more)
                wrote += len(more)
                await writer.drain()
            await asyncio.sleep(60)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        caller = Caller(networks(allowed))
        try:
            return await caller.post(url.replace("PORT", str(port)), b"{}"), wrote
        finally:
            await caller.close()


OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_an_endless_answer_is_not_read():
    status, wrote = await call("http://127.0.0.1:PORT/", answer=(OK, b"10000\r\n" + b"a" * 65536 + b"\r\n"))
    assert status == 200
    assert wrote < 50_000_000


async def test_an_answer_that_does_not_come_is_waited_for_so_long(monkeypatch):
    monkeypatch.setattr(calling, "TIMEOUT_S", 0.3)
    begun = time.monotonic()
    with pytest.raises(NotCalled, match="no answer within"):
        await call("http://127.0.0.1:PORT/", answer=(b"HTTP/1.1 ", b""))
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize("head", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"])
async def test_what_is_no_answer_is_told_in_few_words(head):
    with pytest.raises(NotCalled) as caught:
        await call("http://127.0.0.1:PORT/", answer=(head, b""))
    assert len(str(caught.value)) <= 300


async def test_a_name_is_judged_by_what_it_leads_to():
    with pytest.raises(NotCalled, match="is not a public address"):
        await call("http://localhost:PORT/", answer=(OK, b""), allowed="10.0.0.0/8")
    status, _ = await call("http://localhost:PORT/", answer=(OK, b""), allowed="127.0.0.0/8,::1")
    assert status == 200


@pytest.mark.parametrize(
    "url", ["http://2130706433:PORT/", "http://127.1:PORT/", "http://0x7f.1:PORT/", "http://:PORT/"]
)
async def test_odd_ways_to_write_an_address_lead_nowhere(url):
    with pytest.raises(NotCalled):
        await call(url, answer=(OK, b""), allowed="10.0.0.0/8")
