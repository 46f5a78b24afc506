"""`holdfast rush`: hands over to the load test, which knows this server only by its ready file."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec

from engine.settings import Settings, SettingsError


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Become the load test; does not return."""
    if find_spec("locust") is None:
        raise SettingsError("locust is not installed: `make install` brings it, or pip install 'holdfast[dev]'")
    os.execv(sys.executable, [sys.executable, "-m", "loadtests.rush", *arguments.rest])
