"""A cluster of each file's own: what breaks there must not break others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from installing import Installation, installed


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("on-a-cluster"), run_up) as running:
        yield running
