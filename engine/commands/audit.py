"""`holdfast audit`: proves that nothing was oversold and nothing was lost."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from engine.commands import stores
from engine.domain.errors import Fenced
from engine.settings import Settings
from workers import audit, repair


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Audit both stores; return 0 if the books are right, 1 if not."""
    settings = stores.with_both(settings)
    finding = asyncio.run(audit.run(settings))
    if arguments.repair:
        finding = _repaired(settings, finding)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(finding), indent=2).decode())
    else:
        _tell(finding)
    return 0 if finding.ok else 1


def _repaired(settings: Settings, finding: audit.Finding) -> audit.Finding:
    """Repair what was found, as far as Redis can be repaired; return what is found after that."""
    if not finding.shards:
        return msgspec.structs.replace(finding, repaired=["nothing to repair in Redis"])
    try:
        done = asyncio.run(repair.run(settings, finding.shards))
    except Fenced as error:
        return msgspec.structs.replace(finding, repaired=[f"not repaired: {error}"])
    return msgspec.structs.replace(asyncio.run(audit.run(settings)), repaired=done)


def _tell(finding: audit.Finding) -> None:
    for what, count in finding.checked.items():
        print(f"  {count:>9,}  {what}")
    for problem in finding.problems:
        print(f"\nBROKEN  {problem.rule}\n  where     {problem.where}")
        print(f"  expected  {problem.expected}\n  found     {problem.found}")
    for line in finding.repaired:
        print(f"\nREPAIR  {line}")
    print("\nThe books are right." if finding.ok else f"\n{len(finding.problems)} rules are broken.")
