"""A Holdfast of each file's own: its books may be broken without harm to other tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Any]:
    with run_up(
        tmp_path_factory.mktemp("audit"), "--processes", "1", environment={"HOLDFAST_ACK_TIMEOUT_S": "4"}
    ) as server:
        yield server
