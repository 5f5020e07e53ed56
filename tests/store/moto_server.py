"""moto's server, one request at a time: it looks at `If-Match` and writes in two steps, and several
threads get between them. Usage: PORT."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


class OneAtATime:
    """What a bucket promises of conditional writes."""

    def __init__(self) -> None:
        self.application, self.lock = (
            DomainDispatcherApplication(create_backend_app),
            threading.Lock(),
        )

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self.lock:
            return list(self.application(environ, start_response))


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), OneAtATime(), threaded=True)
