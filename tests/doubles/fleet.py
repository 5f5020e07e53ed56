"""Many engines at once: real HTTP on unix sockets, each answer after the same latency. A program of
its own, with its own CPU time.

`python fleet.py FOLDER COUNT CONTAINERS LATENCY` listens on `FOLDER/0.sock` … and says `ready`; it
ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self


def answers(number: int, containers: int) -> dict[str, Any]:
    """What engine `number` says, by path without the version."""
    ids = [f"{number:032x}{index:032x}" for index in range(containers)]
    found: dict[str, Any] = {
        "/version": {"ApiVersion": "1.41", "Version": "20.10.24"},
        "/info": {"ID": f"engine-{number}", "Swarm": {"LocalNodeState": "inactive"}},
        "/networks": [
            {"Id": "n1", "Name": "bridge", "Driver": "bridge", "Internal": False, "Options": {}}
        ],
        "/containers/json": [{"Id": id_} for id_ in ids],
    }
    for index, id_ in enumerate(ids):
        port = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(8000 + index)}]}
        found[f"/containers/{id_}/json"] = {
            "Id": id_,
            "Name": f"/c{index}",
            "Image": "sha256:1",
            "State": {"Status": "running"},
            "Config": {"Labels": {}},
            "HostConfig": {"NetworkMode": "bridge", "PortBindings": port},
            "NetworkSettings": {"Ports": port, "Networks": {"bridge": {"NetworkID": "n1"}}},
        }
    return found


class Fleet:
    """The program, run. `requests(containers)`: how many one engine is asked for one reading."""

    def __init__(self, folder: Path, count: int, containers: int, latency: float) -> None:
        self.folder, self.count = folder, count
        self._words = [
            sys.executable,
            "-I",
            __file__,
            str(folder),
            str(count),
            str(containers),
            str(latency),
        ]

    @staticmethod
    def requests(containers: int) -> int:
        return 4 + containers

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def endpoint(self, number: int) -> str:
        return f"unix://{self.folder}/{number}.sock"


async def _serve(folder: Path, count: int, containers: int, latency: float) -> None:
    servers = []
    for number in range(count):
        said = {
            path: json.dumps(value).encode() for path, value in answers(number, containers).items()
        }

        async def talk(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            said: dict[str, bytes] = said,
        ) -> None:
            try:
                while request := await reader.readuntil(b"\r\n\r\n"):
                    path = request.split(b" ", 2)[1].decode().split("?")[0]
                    path = path[path.index("/", 1) :] if path.startswith("/v1.") else path
                    await asyncio.sleep(latency)
                    body = said.get(path, b"{}")
                    status = b"200 OK" if path in said else b"404 Not Found"
                    writer.write(
                        b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length:"
                        b" %d\r\n\r\n" % (status, len(body))
                    )
                    writer.write(body)
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        servers.append(await asyncio.start_unix_server(talk, folder / f"{number}.sock", backlog=64))
    print("ready", flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True
    ).start()
    await ended.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
