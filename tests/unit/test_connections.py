"""A connection whose first head was new goes on like all others."""

from __future__ import annotations

import asyncio

from engine.http.call import Reply
from engine.http.listener import Listener
from engine.http.wire import response
from engine.settings import Settings

HEAD = b"POST /api/v1/a/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n"


async def by_whom(*sent):
    """Send pieces on one connection, one after another; return for each request whether the parser has read it."""
    parsed = []

    async def door(request):
        parsed.append(request.message is not None)
        body = request.body if request.body is not None else await request.content.read()
        return response(request, Reply(200, body), "1")

    listener = Listener(door, {}, Settings(), lambda: None)
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for pieces in sent:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            assert await reader.readexactly(3) == b"[7]"
        writer.close()
        await listener.shutdown(1)
    return parsed


def test_only_the_first_request_of_a_kind_takes_the_parser():
    assert asyncio.run(by_whom(*[[HEAD + b"[7]"]] * 4)) == [True, False, False, False]


def test_so_it_is_where_the_first_one_came_in_pieces():
    assert asyncio.run(by_whom([HEAD, b"[", b"7]"], *[[HEAD + b"[7]"]] * 3)) == [True, False, False, False]
