"""`cloudsync watch` as a service on a real machine: its audit in the metrics and on the page, which
asks for its token."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.audit.world import Site, wait_for
from tests.host.engine import missing
from tests.host.namespace import needs

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
PORT = 9600
_GET = """\
import json, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1])
if len(sys.argv) > 2:
    request.add_header("Authorization", "Bearer " + sys.argv[2])
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
except OSError:
    print(json.dumps([0, ""]))
"""


def get(site: Site, path: str, *token: str) -> tuple[int, str]:
    """A request from the machine itself. 0: nothing listens."""
    address = f"http://127.0.0.1:{PORT}{path}"
    status, content = json.loads(site.run(sys.executable, "-c", _GET, address, *token))
    return status, content


def test_a_service_shows_what_its_audit_found_to_who_has_the_token(tmp_path: Path) -> None:
    needs("busybox")
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Site(tmp_path) as site:
        socket = f"{site.engine.socket}:/var/run/docker.sock:ro"
        site.serve("agent", "9001:80", 80, "-v", socket)
        site.lets_in("9001")
        site.environment["PAGE_TOKEN"] = "open sesame"
        watch = '[watch]\ntoken = { env = "PAGE_TOKEN" }\n'
        configuration = site.configure(end=watch)
        words = ("watch", "-c", str(configuration), "--listen", f"127.0.0.1:{PORT}")
        site.start(sys.executable, "-m", "cloudsync", *words)
        by_severity = 'cloudsync_audit_findings{owner="shop",severity="critical"} 1'
        wait_for(lambda: by_severity in get(site, "/metrics")[1])
        assert get(site, "/")[0] == 401
        assert get(site, "/", "sesame")[0] == 401
        assert "CS004" not in get(site, "/")[1]
        status, page = get(site, "/", "open sesame")
        assert status == 200
        assert "CS004" in page
        site.stop()
