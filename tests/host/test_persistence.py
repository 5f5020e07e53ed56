"""What the table survives: a flush while `watch` runs, a reload of nftables, a reboot."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host.lab import Lab
from tests.host.site import Site

pytestmark = pytest.mark.engine
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "cloudsync-host.service"


@contextmanager
def watching(site: Site) -> Iterator[Path]:
    """`cloudsync watch` on the machine, after its first run; its log."""
    log = site.folder / "log"
    words = site.words("watch", "--log-format", "json")
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, env=site.environment(), cwd=site.folder, stdout=file, stderr=file
        )
    try:
        wait_for(lambda: (site.folder / "state").exists() and lines(log, "start"))
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def lines(log: Path, event: str) -> list[str]:
    found = (json.loads(line) for line in log.read_text().splitlines())
    return [line["message"] for line in found if line["event"] == event]


def wait_for(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def flush(lab: Lab) -> None:
    subprocess.run([*lab.inside, "nft", "flush", "ruleset"], check=True)


def test_watch_puts_a_flushed_table_back_and_says_so(site: Site, lab: Lab) -> None:
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    with watching(site) as log:
        for number in range(1, 4):
            flush(lab)
            wait_for(lambda number=number: len(lines(log, "put-back")) == number)
            assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    assert "was put back after" in lines(log, "put-back")[0]
    assert site.actions() == []


def test_watch_puts_back_what_was_applied_last(site: Site, lab: Lab) -> None:
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    with watching(site) as log:
        site.ports.append("8080/tcp")
        site.apply("--lock-timeout", "20")
        time.sleep(1.5)  # the quiet time after which a keeper looks
        flush(lab)
        wait_for(lambda: lines(log, "put-back"))
        assert (lab.tcp(8080), lab.tcp(8443)) == ("open", "closed")


def test_watch_puts_back_what_was_flushed_before_it_began(site: Site, lab: Lab) -> None:
    site.ports = ["22/tcp", "443/tcp"]
    site.apply()
    flush(lab)
    with watching(site) as log:
        wait_for(lambda: lines(log, "put-back"))
        assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")


def test_a_saved_file_of_another_firewall_is_not_loaded(site: Site, lab: Lab) -> None:
    site.apply()
    flush(lab)
    site.saved.write_text(site.saved.read_text().replace("owner=shop", "owner=blog"))
    with watching(site) as log:
        wait_for(lambda: lines(log, "trouble"))
        assert lab.listing() == ""


def test_what_was_released_is_not_put_back(site: Site, lab: Lab) -> None:
    site.apply()
    assert site.run("release", "web-1-host").returncode == 0
    with watching(site) as log:
        flush(lab)
        time.sleep(1)
        assert lines(log, "put-back") == []
        assert lab.listing() == ""


def test_the_saved_file_is_the_table_and_loads_before_there_is_a_network(
    site: Site, lab: Lab
) -> None:
    site.ports = ["22/tcp", "443/tcp"]
    site.keys["peers"] = ["10.0.0.0/24"]
    site.apply()
    before = without_counters(lab.listing())
    flush(lab)
    with Lab() as rebooted:
        subprocess.run(["ip", "-n", rebooted.host, "link", "del", "eth0"], check=True)
        words = [*rebooted.inside, "nft", "-f", str(site.saved)]
        subprocess.run(words, check=True, capture_output=True)
        assert without_counters(rebooted.listing()) == before
    # Twice, as `systemctl reload nftables` makes it.
    for _ in range(2):
        subprocess.run([*lab.inside, "nft", "-f", str(site.saved)], check=True)
    assert without_counters(lab.listing()) == before
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    assert site.actions() == []


def test_a_saved_file_that_is_not_what_is_in_effect_is_written_again(site: Site, lab: Lab) -> None:
    site.apply()
    text = site.saved.read_text()
    site.saved.write_text("table inet cloudsync\n")
    assert site.actions() == [f"reapply file {site.saved}"]
    writes = lab.listing("-a")
    site.apply()
    assert site.saved.read_text() == text
    assert lab.listing("-a") == writes
    assert site.actions() == []


def test_a_full_disk_leaves_the_old_file_and_the_next_run_finishes(site: Site, lab: Lab) -> None:
    site.apply()
    old = site.saved.read_text()
    new = Path(f"{site.saved}.new")
    new.mkdir()
    site.ports = ["22/tcp", "443/tcp"]
    assert "could not be written" in site.apply(code=6)
    assert lab.tcp(443) == "open"
    assert site.saved.read_text() == old
    new.rmdir()
    site.apply()
    assert "443" in site.saved.read_text()


def test_after_a_flush_without_watch_the_next_plan_says_that_everything_is_open(
    site: Site, lab: Lab
) -> None:
    site.apply()
    flush(lab)
    assert site.actions()[:2] == ["create", "attach machine web-1"]


def test_the_unit_loads_before_the_network_and_follows_nftables() -> None:
    text = UNIT.read_text()
    for line in (
        "Before=network-pre.target shutdown.target",
        "After=nftables.service",
        "PartOf=nftables.service",
        "ReloadPropagatedFrom=nftables.service",
        "ExecStart=/usr/sbin/nft -f /var/lib/cloudsync/host.nft",
        "WantedBy=sysinit.target",
    ):
        assert line in text.splitlines()


def without_counters(listing: str) -> str:
    return " ".join(
        line
        for line in listing.replace("counter packets", "\ncounter packets").splitlines()
        if "counter packets" not in line
    )
