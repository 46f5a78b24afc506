"""The ledger of the tests: on the real servers, with nobody draining."""

from __future__ import annotations

import pytest
import pytest_asyncio
import redis
from redis.cluster import RedisCluster
from sample_events import event

from engine.ledger import keys
from engine.ledger.ledger import Ledger
from engine.settings import Settings
from persistence.database import Database


@pytest.fixture(scope="session", params=["one server", "three masters"])
def ledger_url(request):
    """Whatever the ledger does it does on one server and on a cluster."""
    return request.getfixturevalue("redis_url" if request.param == "one server" else "cluster_url")


@pytest_asyncio.fixture(scope="session")
async def ledger(ledger_url, database_url):
    database = Database(database_url)
    await database.open()
    opened = Ledger(Settings(redis_url=ledger_url, database_url=database_url), database)
    await opened.open()
    yield opened
    await opened.close()
    await database.close()


@pytest.fixture(scope="session")
def server_redis(ledger_url):
    """A plain client, to look at what the scripts leave behind."""
    kind = RedisCluster if ledger_url.startswith("redis:") else redis.Redis
    with kind.from_url(ledger_url) as client:
        yield client


@pytest.fixture
def open_event(ledger, server_redis):
    """Make an event over some quotas live, in a shard whose outbox is empty, and return it."""

    async def opened(*quotas, **fields):
        made = event(*quotas, **fields)
        await ledger.publish(made)
        server_redis.xtrim(keys.outbox(ledger.shard_of(made)), maxlen=0, approximate=False)
        return made

    return opened
