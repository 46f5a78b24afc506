"""`holdfast audit`: proves that nothing was oversold and nothing was lost."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from engine.commands import stores
from engine.settings import Settings
from workers import audit


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Audit both stores; return 0 if the books are right, 1 if not."""
    finding = asyncio.run(audit.run(stores.with_both(settings)))
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(finding), indent=2).decode())
    else:
        _tell(finding)
    return 0 if finding.ok else 1


def _tell(finding: audit.Finding) -> None:
    for what, count in finding.checked.items():
        print(f"  {count:>9,}  {what}")
    for problem in finding.problems:
        print(f"\nBROKEN  {problem.rule}\n  where     {problem.where}")
        print(f"  expected  {problem.expected}\n  found     {problem.found}")
    print("\nThe books are right." if finding.ok else f"\n{len(finding.problems)} rules are broken.")
