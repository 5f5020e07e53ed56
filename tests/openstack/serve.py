"""Neutron's own API server over SQLite, without agents: nothing filters packets, everything else is
real. Run by the interpreter of the environment that has Neutron in it.

Usage: serve.py FOLDER LEASES. The port is written to FOLDER/port once requests are answered. The
server ends by itself when no process named in LEASES (one id a line) is alive.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

LOOK_SECONDS = 5.0
NEUTRON = """[DEFAULT]
core_plugin = ml2
service_plugins = router
auth_strategy = noauth
transport_url = fake://
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
api_paste_config = {folder}/api-paste.ini
state_path = {folder}/state
[database]
connection = sqlite:///{folder}/neutron.db
sqlite_synchronous = false
[oslo_concurrency]
lock_path = {folder}/lock
[oslo_messaging_notifications]
driver = noop
[quotas]
quota_security_group = 10
quota_security_group_rule = 100
"""
ML2 = """[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
extension_drivers = port_security
[securitygroup]
enable_security_group = true
"""


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """The tests' proxy counts the calls."""

    def address_string(self) -> str:
        return "127.0.0.1"


class OneAtATime:
    """SQLite knows one writer; Neutron on a server's database would not wait."""

    def __init__(self, application: Any) -> None:
        self.application, self.lock = application, threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self.lock:
            return list(self.application(environ, start_response))


def prepared(folder: Path) -> list[str]:
    """The configuration files, and a database with all tables. `neutron-db-manage upgrade` does not
    run on SQLite."""
    import sqlalchemy
    from neutron.db.migration.models import head

    (folder / "state").mkdir(parents=True)
    paste = (Path(sys.prefix) / "etc" / "neutron" / "api-paste.ini").read_text()
    (folder / "api-paste.ini").write_text(
        re.sub(r"\bfake_project_id\b(?=.*neutronapi)", "keystonecontext", paste)
    )
    (folder / "neutron.conf").write_text(NEUTRON.format(folder=folder))
    (folder / "ml2.ini").write_text(ML2)
    engine = sqlalchemy.create_engine(f"sqlite:///{folder}/neutron.db")
    head.get_metadata().create_all(engine)
    engine.dispose()
    return ["--config-file", f"{folder}/neutron.conf", "--config-file", f"{folder}/ml2.ini"]


def without_waste() -> None:
    """A file of SQLite stays open, where oslo.db would open it again for each transaction and then
    give way to threads that wait for the lock above; nobody tells agents that do not exist; the
    files of policies, which do not change, are looked for once instead of at each question; and so
    is the signature of a check."""
    import inspect
    from functools import cache
    from types import SimpleNamespace

    from neutron.plugins.ml2 import ovo_rpc
    from oslo_db.sqlalchemy import engines
    from oslo_policy import _checks, policy
    from sqlalchemy import pool

    engines.pool = SimpleNamespace(**{**vars(pool), "NullPool": pool.QueuePool})
    engines._thread_yield = lambda *_: None
    ovo_rpc.OVOServerRpcInterface = lambda: None

    load = policy.Enforcer.load_rules

    def load_when_told(enforcer: Any, force_reload: bool = False) -> None:
        if force_reload:
            load(enforcer, True)

    policy.Enforcer.load_rules = load_when_told
    signature = cache(inspect.getfullargspec)
    # The method is bound to another check each time; the function is the same.
    _checks.inspect = SimpleNamespace(getfullargspec=lambda method: signature(method.__func__))


def stock_rules(application: Any) -> None:
    """What Neutron's migrations put into a new database: a new group lets everything out, and the
    group `default` lets in what has it too."""
    import webob

    for family in ("IPv4", "IPv6"):
        for direction, remote, others in (("egress", None, True), ("ingress", "PARENT", False)):
            rule = {
                "direction": direction,
                "ethertype": family,
                "remote_group_id": remote,
                "used_in_default_sg": True,
                "used_in_non_default_sg": others,
            }
            answer = webob.Request.blank(
                "/v2.0/default-security-group-rules",
                method="POST",
                json={"default_security_group_rule": rule},
                headers={"X-Roles": "admin,member,reader", "X-User-Id": "o", "X-Project-Id": "o"},
            ).get_response(application)
            assert answer.status_int == 201, answer.text


def watch(leases: Path) -> None:
    """End the process when nobody uses it any more, however its users ended."""
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            users = [int(line) for line in leases.read_text().split()]
        except OSError:
            users = []
        if not any(Path(f"/proc/{user}").exists() for user in users):
            os.kill(os.getpid(), signal.SIGTERM)


def main(folder: Path, leases: Path) -> None:
    sys.argv = ["neutron-api", *prepared(folder)]
    without_waste()
    from neutron.wsgi.api import application

    stock_rules(application)
    # What is loaded stays, and a collection need not walk all of it again.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    server = Server(("127.0.0.1", 0), Handler)
    server.set_app(OneAtATime(application))
    threading.Thread(target=watch, args=(leases,), daemon=True).start()
    (folder / "port.new").write_text(str(server.server_address[1]))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
