"""`holdfast audit`: what workers/audit.py finds, for people and for programs."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from engine.commands import stores
from engine.settings import Settings
from workers import audit


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print every broken rule; return 0 if there is none and 1 otherwise."""
    finding = asyncio.run(audit.run(stores.with_both(settings)))
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(finding), indent=2).decode())
    else:
        _tell(finding)
    return 0 if finding.ok else 1


def _tell(finding: audit.Finding) -> None:
    for problem in finding.problems:
        print(f"BROKEN  {problem.rule}: {problem.where}: expected {problem.expected}, found {problem.found}")
    looked_at = ", ".join(f"{count} {name}" for name, count in finding.checked.items())
    verdict = "the books are right" if finding.ok else f"{len(finding.problems)} rules are broken"
    print(f"looked at {looked_at}: {verdict}")
