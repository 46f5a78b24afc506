"""What comes out of a pipe is the answers, in order, however they arrive, or word that it broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from machine import until
from redis.exceptions import NoScriptError, ResponseError

from engine.domain.errors import Fenced
from engine.ledger import keys
from engine.ledger.pipe import Pipe
from engine.ledger.values import Committed
from engine.ledger.watermark import Watermark


@pytest.fixture
async def pipe(redis_url: str) -> AsyncIterator[Pipe]:
    opened = Pipe(redis_url)
    await opened.open()
    yield opened
    await opened.close()


async def test_each_call_gets_its_own_answer(pipe: Pipe) -> None:
    calls = [pipe.call("ECHO", f"{n}") for n in range(2000)]
    wrong = pipe.call("EVALSHA", "0" * 40, 0)
    nonsense = pipe.call("NONSENSE")
    last = pipe.call("EVAL", "return {1, 'two', {3, false, 'four'}}", 0)
    assert await asyncio.gather(*calls) == [b"%d" % n for n in range(2000)]
    with pytest.raises(NoScriptError):
        await wrong
    with pytest.raises(ResponseError):
        await nonsense
    assert await last == [1, b"two", [3, None, b"four"]]


async def test_an_answer_may_be_larger_than_anything_that_arrives_at_once(pipe: Pipe) -> None:
    large = b"\r\n$-1\r\n" * 500_000
    before, answer, after = pipe.call("ECHO", "a"), pipe.call("ECHO", large), pipe.call("ECHO", "z")
    assert await answer == large
    assert (await before, await after) == (b"a", b"z")


async def test_who_gave_up_waiting_takes_nobody_elses_answer(pipe: Pipe) -> None:
    calls = [pipe.call("ECHO", f"{n}") for n in range(10)]
    calls[3].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for n, answer in enumerate(answers) if n != 3] == [b"%d" % n for n in range(10) if n != 3]


async def test_all_who_wait_are_told_when_the_connection_goes(pipe: Pipe, redis_url: str) -> None:
    number = await pipe.call("CLIENT", "ID")
    waiting = [pipe.call("BLPOP", keys.order(5, 7, "NONE"), 0), *(pipe.call("PING") for _ in range(20))]
    with redis.Redis.from_url(redis_url) as other:
        await until("the call blocks", lambda: other.info("clients")["blocked_clients"])
        other.execute_command(f"CLIENT KILL ID {number}")
    for call in waiting:
        with pytest.raises(Fenced):
            await call
    await until("the pipe is connected again", lambda: pipe.connections == 2)
    assert await pipe.call("ECHO", "again") == b"again"


@pytest.mark.parametrize("listen", [True, False], ids=["at once", "when somebody waits"])
async def test_a_watermark_is_heard_again_after_its_connection_was_cut(redis_url: str, listen: bool) -> None:
    watermark = Watermark(lambda: redis_url, None)  # type: ignore[arg-type]
    await watermark.open(listen=listen)
    try:
        with redis.Redis.from_url(redis_url) as other:
            for entry in (1, 2):
                waiting = asyncio.create_task(watermark.wait(Committed(5, (entry, 7), 3), 60))
                word = b"4=9-9@1 5=%d-7@3" % entry
                await until("the word is heard", lambda: other.publish(keys.DRAINED_CHANNEL, word) and waiting.done())  # noqa: B023
                assert waiting.result()
                other.execute_command("CLIENT KILL TYPE pubsub")
    finally:
        await watermark.close()
