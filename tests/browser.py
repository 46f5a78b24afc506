"""Headless Chromium, driven by its DevTools protocol: pages as people see them."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_S = 120
_PATIENCE_S = 60


def executable() -> str:
    """Return where Chromium is; without one a test says plainly that it was skipped."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine (Debian has it as the package chromium)")
    return found


class Browser:
    """One tab. `complaints` are what the page logged as errors, uncaught exceptions included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    def __enter__(self) -> Browser:
        command = [executable(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--hide-scrollbars", "--no-first-run", "--remote-debugging-port=0", "--remote-allow-origins=*"]
        command += [f"--user-data-dir={self._folder}", "about:blank"]
        self._log = (self._folder / "browser.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        port_file = self._folder / "DevToolsActivePort"
        deadline = time.monotonic() + _START_S
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert self._process.poll() is None, (self._folder / "browser.log").read_text()
            assert time.monotonic() < deadline, "Chromium does not start"
            time.sleep(0.05)
        port, path = port_file.read_text().split("\n")[:2]
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=_PATIENCE_S)
        self._session = ""
        target = self.say("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.say("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.say(f"{domain}.enable")
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(Exception):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def say(self, method: str, **parameters: Any) -> Any:
        """Send one command and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            heard = json.loads(self._socket.recv())
            if heard.get("id") == number:
                assert "error" not in heard, heard
                return heard["result"]
            if heard.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(heard["params"]["exceptionDetails"]))
            elif heard.get("method") == "Log.entryAdded" and heard["params"]["entry"]["level"] == "error":
                self.complaints.append(heard["params"]["entry"]["text"])

    def open(self, url: str, width: int, height: int, *, phone: bool = False) -> None:
        """Show a page in a window, or on a phone, of this size in CSS pixels."""
        self.say(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip
        self.say("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.say("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str, patience_s: float = _PATIENCE_S) -> Any:
        """Return the value of an expression once it is something."""
        deadline = time.monotonic() + patience_s
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"it does not come: {script}"
            time.sleep(0.05)
        return value

    def picture(self, path: Path) -> None:
        """Keep what is on the screen as a PNG."""
        path.write_bytes(base64.b64decode(self.say("Page.captureScreenshot")["data"]))
