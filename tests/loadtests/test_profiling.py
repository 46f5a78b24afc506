"""A profile has flame graphs of both programs, and Redis' own figures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
MAY_LOOK = os.geteuid() == 0 or not SCOPE.exists() or SCOPE.read_text().strip() == "0"


@pytest.mark.skipif(not MAY_LOOK, reason="this system lets nobody but root look into processes")
def test_a_profile_draws_front_door_and_worker_and_asks_redis(run_up: Any, tmp_path: Path) -> None:
    # it sets Redis' counters back and has it watch itself
    folder = tmp_path / "profile"
    with run_up(tmp_path) as server:
        command = [sys.executable, "-m", "loadtests.profiling", "--ready-file", str(server.ready_file)]
        command += ["--seconds", "1", "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("front-door-hold", "worker-hold", "front-door-order", "worker-order"):
        assert "<svg" in (folder / f"{name}.svg").read_text()
    assert "evalsha" in done.stdout
