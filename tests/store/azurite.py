"""Microsoft's own emulator of Azure Blob Storage, Azurite, as npm has it. It is installed into
~/.cache/cloudsync-tests once, outside of the checkout, and keeps everything in memory.

Account and key are the ones that Azurite's documentation gives to everybody.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import requests

from tests.free_ports import free_port
from tests.roots import CACHE

VERSION = "3.37.0"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
START_SECONDS = 120.0
_API = "2021-08-06"
_FOLDER = CACHE / f"azurite-{VERSION}"
_MAIN = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")


def unavailable() -> str | None:
    """Why it cannot be had here; None if it can."""
    lacking = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else None


def installed() -> Path:
    """The script that starts it; fetched by npm if it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{_FOLDER.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (_FOLDER / "complete").exists():
            shutil.rmtree(_FOLDER, ignore_errors=True)
            _FOLDER.mkdir()
            words = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"azurite@{VERSION}"]
            subprocess.run(words, cwd=_FOLDER, check=True, capture_output=True, timeout=600)
            (_FOLDER / "complete").touch()
    return _FOLDER / _MAIN


@dataclass(slots=True)
class Azurite:
    """`with Azurite() as server:` a server of our own at `endpoint`."""

    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """With the account, as Azurite wants it."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def __enter__(self) -> Self:
        self.port = free_port()
        words = ["node", str(installed()), "--blobHost", "127.0.0.1"]
        words += ["--blobPort", str(self.port), "--inMemoryPersistence", "--silent"]
        words += ["--disableTelemetry", "--skipApiVersionCheck"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise RuntimeError("Azurite did not start")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            requests.get(self.endpoint, timeout=5)
        except requests.RequestException:
            return False
        return True

    def container(self) -> str:
        """The name of a new container."""
        name = f"cloudsync-{uuid.uuid4().hex[:12]}"
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        signed = f"x-ms-date:{date}\nx-ms-version:{_API}\n"
        resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        words = "PUT" + "\n" * 12 + signed + resource
        key = hmac.new(base64.b64decode(KEY), words.encode(), hashlib.sha256).digest()
        answer = requests.put(
            f"{self.endpoint}/{name}",
            params={"restype": "container"},
            headers={
                "x-ms-date": date,
                "x-ms-version": _API,
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(key).decode()}",
            },
            timeout=30,
        )
        answer.raise_for_status()
        return name
