"""The arq worker: timed jobs run in it, and the drain lives in its process."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import unquote

import uvloop
from arq import cron
from arq.connections import RedisSettings
from arq.worker import Worker
from redis.exceptions import RedisError

from engine import garbage
from engine.domain.errors import HoldfastError
from engine.ledger.books import Books
from engine.sales.house import House, open_house
from engine.settings import Settings
from persistence import replies
from workers.cluster_drain import ClusterDrain
from workers.drain import Drain
from workers.expire import expire_orders, sweep
from workers.invoices import draw_invoices, issue_invoices
from workers.mail import send_mails
from workers.press import Press
from workers.reconcile import Reconciler
from workers.tickets import make_tickets
from workers.webhooks import Couriers, tell

log = logging.getLogger("holdfast.worker")

QUEUE = "hf1:queue"
"""arq's queue. No order is ever only in a job, so losing the queue loses nothing."""
_RETRY_S = 0.5
_HALT_TIMEOUT_S = 3.0
"""How long a batch under way may take to end; a batch that is cut off is written again by the next drain."""
_EACH_SECOND = set(range(60))
_EACH_TEN_SECONDS = set(range(0, 60, 10))


async def _expire(context: dict[str, Any]) -> None:
    await _work(expire_orders(context["house"]))


async def _sweep(context: dict[str, Any]) -> None:
    await _work(sweep(context["house"]))


async def _forget(context: dict[str, Any]) -> None:
    await _work(replies.forget(context["house"].database))


async def _mail(context: dict[str, Any]) -> None:
    # one at a time: a server that takes its time must not take all places of this worker
    if not context["mailing"].locked():
        async with context["mailing"]:
            await _work(send_mails(context["house"]))


async def _issue(context: dict[str, Any]) -> None:
    if not context["issuing"].locked():
        async with context["issuing"]:
            await _work(issue_invoices(context["house"]))


async def _draw(context: dict[str, Any]) -> None:
    if not context["drawing"].locked():
        async with context["drawing"]:
            await _work(draw_invoices(context["house"], context["press"]))


async def _webhooks(context: dict[str, Any]) -> None:
    await _work(tell(context["house"]))
    await _work(context["couriers"].send_out())


async def _tickets(context: dict[str, Any]) -> None:
    if not context["printing"].locked():
        async with context["printing"]:
            await _work(make_tickets(context["house"], context["press"]))


async def _reconcile(context: dict[str, Any]) -> None:
    if not context["reconciling"].locked():
        async with context["reconciling"]:
            await _work(context["reconciler"].run())


async def _look(context: dict[str, Any]) -> None:
    """Do what there is to do, side by side: to queue and begin a job of each cost eight times as much as to look."""
    jobs = (_expire, _issue, _draw, _mail, _reconcile, _sweep, _webhooks, _tickets)
    ended = await asyncio.gather(*(job(context) for job in jobs), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            log.error("a job has failed", exc_info=error)


async def _work(job: Any) -> None:
    try:
        await job
    except (HoldfastError, RedisError, OSError) as error:
        log.warning("a store is away, the next run will do it: %s", error)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises whatever ended the drain, so that the supervisor starts us again."""
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with open_house(settings, "worker") as house, aclosing(Press()) as press:
        # not before: opening may wait for a store, and a signal shall end that wait too
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        garbage.settle()
        drained = loop.create_future()
        halt = threading.Event()
        drain = ClusterDrain(settings) if house.ledger.nodes.clustered else Drain(settings)
        # a daemon, so that a store that does not answer cannot keep the process from ending
        thread = threading.Thread(target=_drain, args=(drain, halt, loop, drained), name="drain", daemon=True)
        thread.start()
        tasks = [
            asyncio.create_task(_jobs(house, settings, press), name="jobs"),
            asyncio.create_task(stop.wait(), name="stop"),
        ]
        log.info("working; mails go to %s", "an SMTP server" if settings.smtp_url else settings.mail_folder)
        await asyncio.wait([drained, *tasks], return_when=asyncio.FIRST_COMPLETED)
        halt.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait([drained], timeout=_HALT_TIMEOUT_S)
        for ended in (drained, *tasks):
            if ended.done() and not ended.cancelled():
                ended.result()


def _drain(drain: Drain, halt: threading.Event, loop: asyncio.AbstractEventLoop, drained: asyncio.Future[None]) -> None:
    """Run the drain in this thread and tell the loop how it ended."""
    try:
        drain.run(halt)
    except BaseException as error:
        loop.call_soon_threadsafe(drained.set_exception, error)
    else:
        loop.call_soon_threadsafe(drained.set_result, None)


def _queue(settings: Settings) -> RedisSettings:
    """Return where the queue is; arq reads a URL but for what is quoted in the path of a socket."""
    found = RedisSettings.from_dsn(settings.queue_url or settings.redis_url)
    if found.unix_socket_path is not None:
        found.unix_socket_path = unquote(found.unix_socket_path)
    return found


async def _jobs(house: House, settings: Settings, press: Press) -> None:
    """Run arq's worker; begin again when its Redis was away."""
    while True:
        couriers = Couriers(house)
        reconciler = Reconciler(house.database, Books(settings), settings.shards)
        worker = Worker(
            functions=[],
            cron_jobs=[
                cron(_look, name="look", second=_EACH_SECOND, unique=True, keep_result=0),  # type: ignore[arg-type]
                cron(_forget, name="forget_replies", second=_EACH_TEN_SECONDS, unique=True, keep_result=0),  # type: ignore[arg-type]
            ],
            redis_settings=_queue(settings),
            queue_name=QUEUE,
            ctx={
                "house": house,
                "press": press,
                "mailing": asyncio.Lock(),
                "reconciling": asyncio.Lock(),
                "reconciler": reconciler,
                "issuing": asyncio.Lock(),
                "drawing": asyncio.Lock(),
                "printing": asyncio.Lock(),
                "couriers": couriers,
            },
            handle_signals=False,
            keep_result=0,
            log_results=False,
        )
        try:
            await worker.async_run()
        except (RedisError, OSError) as error:
            log.warning("the queue is away: %s", error)
        finally:
            await _close(worker)
            with suppress(RedisError, OSError):
                await reconciler.close()
            await couriers.close()
        await asyncio.sleep(_RETRY_S)


async def _close(worker: Worker) -> None:
    """Close arq's worker, once its jobs have ended.

    It would wait for them itself, but end as if we were canceled where one is that has not begun or is just done; and
    this process would end with it, in the middle of what it does besides: a verification, for one.
    """
    jobs = list(worker.tasks.values())
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    worker.tasks.clear()
    # it wants to delete a key, which fails just when the queue is away
    with suppress(RedisError, OSError):
        await worker.close()
