"""`holdfast worker`: an arq worker with the drains."""

from __future__ import annotations

import argparse

from engine.commands import logs, stores
from engine.settings import Settings
from workers import main


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Work until SIGTERM or SIGINT."""
    logs.begin(settings)
    main.run(stores.with_both(settings))
    return 0
