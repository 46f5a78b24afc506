"""CPU time of processes and all their children, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def cpu_us(groups: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Return for each group the CPU microseconds (user and system) of its processes and their descendants so far.

    A child that has ended counts too: its parent keeps its time (cutime, cstime) from the moment it waits for it.
    A process that is in no group of its own counts with the nearest ancestor that is.
    """
    stats = _stats()
    owner = {pid: name for name, pids in groups.items() for pid in pids}
    totals = dict.fromkeys(groups, 0.0)
    for pid, (_, ticks) in stats.items():
        name = _owner(pid, stats, owner)
        if name is not None:
            totals[name] += ticks * TICK_US
    return totals


def _owner(pid: int, stats: Mapping[int, tuple[int, int]], owner: Mapping[int, str]) -> str | None:
    while pid in stats:
        if pid in owner:
            return owner[pid]
        pid = stats[pid][0]
    return None


def _stats() -> dict[int, tuple[int, int]]:
    """Return pid: (parent, utime + stime + cutime + cstime) of every process."""
    stats = {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text[text.rindex(")") + 2 :].split()  # the name before may hold blanks and brackets
        stats[int(folder.name)] = (int(fields[1]), sum(int(field) for field in fields[11:15]))
    return stats
