"""A change is on trial until a new connection proves it; without one the kernel goes back."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from cloudsync_host.transaction import Goal, confirm
from tests.host.lab import PEER4, Lab
from tests.host.site import NAME, Site
from tests.host.transactions import DROPPING, carry_out, table_of

pytestmark = pytest.mark.engine
STARTER = {"SSH_CONNECTION": f"{PEER4} 50000 198.51.100.10 22"}
OTHER = {"SSH_CONNECTION": f"{PEER4} 50001 198.51.100.10 22"}


@pytest.fixture
def enforcing(site: Site) -> Site:
    """An enforcing table with 8080 open. From here on changes are on trial, and 443 comes for
    8080."""
    site.ports = ["22/tcp", "8080/tcp"]
    site.apply()
    site.ports = ["22/tcp", "443/tcp"]
    site.keys["confirm"] = "20s"
    return site


def begun(site: Site, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """An apply whose trial is under way."""
    process = site.start("apply", "--auto-approve", "--allow-attach", NAME, environ=environ)
    until = time.monotonic() + 20
    while "set trial" not in site.lab.listing():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


def ended(process: subprocess.Popen[str], code: int) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (process.returncode, out, err)
    return out + err


def left_over(lab: Lab) -> bool:
    listing = lab.listing()
    return "next_open4" in listing or "chain next_" in listing or "set trial" in listing


def test_what_nobody_confirms_is_rolled_back(enforcing: Site, lab: Lab) -> None:
    enforcing.keys["confirm"] = "3s"
    process = begun(enforcing)
    assert lab.tcp(443) == "open"
    assert lab.tcp(8080) == "closed"
    message = ended(process, 6)
    assert "no new connection confirmed it within 3 s" in message
    assert lab.tcp(443) == "closed"
    assert lab.tcp(8080) == "open"
    assert not left_over(lab)
    assert "443" not in enforcing.saved.read_text()


def test_a_new_ssh_connection_confirms_it(enforcing: Site, lab: Lab) -> None:
    process = begun(enforcing)
    assert lab.tcp(22) == "open"
    ended(process, 0)
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    assert not left_over(lab)
    assert "443" in enforcing.saved.read_text()
    assert enforcing.actions() == []


def test_a_connection_to_another_port_confirms_nothing(enforcing: Site, lab: Lab) -> None:
    enforcing.keys["confirm"] = "3s"
    process = begun(enforcing)
    assert lab.tcp(443) == "open"
    ended(process, 6)


def test_a_session_that_was_there_before_confirms_nothing(enforcing: Site, lab: Lab) -> None:
    enforcing.keys["confirm"] = "3s"
    with lab.connect(22) as session:
        process = begun(enforcing)
        for _ in range(5):
            session.send(b"x")
        ended(process, 6)


def test_cloudsync_confirm_from_another_login_keeps_it(enforcing: Site, lab: Lab) -> None:
    process = begun(enforcing, environ=STARTER)
    same = enforcing.run("confirm", environ=STARTER)
    assert same.returncode == 1
    assert "the connection that the change was made in" in same.stderr
    nobody = enforcing.run("confirm")
    assert nobody.returncode == 1
    assert "set trial" in lab.listing()
    other = enforcing.run("confirm", environ=OTHER)
    assert (other.returncode, "are kept" in other.stdout) == (0, True), other.stderr
    ended(process, 0)
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    assert "443" in enforcing.saved.read_text()


def test_confirming_when_nothing_is_on_trial_says_so(enforcing: Site) -> None:
    done = enforcing.run("confirm", environ=OTHER)
    assert (done.returncode, done.stdout) == (0, f"{NAME}: nothing is on trial\n")


def test_confirming_too_late_changes_nothing(enforcing: Site, lab: Lab) -> None:
    enforcing.keys["confirm"] = "2s"
    process = begun(enforcing)
    process.kill()
    process.communicate()
    wait_for_the_end_of_the_trial(lab)
    late = enforcing.run("confirm", environ=OTHER)
    assert late.returncode == 1
    assert "ran out" in late.stderr
    assert (lab.tcp(443), lab.tcp(8080)) == ("closed", "open")


def kept_and_not_cleaned_up(lab: Lab) -> None:
    """As a confirming run leaves it that is killed between its two transactions."""
    table = table_of(lab)
    carry_out(lab, confirm(table, Goal(table.next, DROPPING, table.marker)))
    assert left_over(lab)
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")


def test_who_waits_sees_that_it_was_kept_by_a_run_that_was_killed_then(
    enforcing: Site, lab: Lab
) -> None:
    process = begun(enforcing)
    kept_and_not_cleaned_up(lab)
    ended(process, 0)
    assert not left_over(lab)
    assert "443" in enforcing.saved.read_text()


def test_what_is_left_of_a_trial_that_was_kept_is_no_trial(enforcing: Site, lab: Lab) -> None:
    process = begun(enforcing)
    process.kill()
    process.communicate()
    kept_and_not_cleaned_up(lab)
    done = enforcing.run("confirm", environ=OTHER)
    assert (done.returncode, done.stdout) == (0, f"{NAME}: nothing is on trial\n")
    enforcing.keys["confirm"] = "off"
    enforcing.apply()
    assert not left_over(lab)
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    assert "443" in enforcing.saved.read_text()


@pytest.mark.parametrize("confirm", ["off", "20s"], ids=["at-once", "on-trial-again"])
def test_a_killed_run_is_rolled_back_by_the_kernel_and_finished_by_the_next(
    enforcing: Site, lab: Lab, confirm: str
) -> None:
    enforcing.keys["confirm"] = "2s"
    process = begun(enforcing)
    process.kill()
    process.communicate()
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    wait_for_the_end_of_the_trial(lab)
    assert (lab.tcp(443), lab.tcp(8080)) == ("closed", "open")
    assert "reapply trial" in enforcing.actions()
    enforcing.keys["confirm"] = confirm
    process = enforcing.start("apply", "--auto-approve")
    while process.poll() is None:
        lab.tcp(22)
        time.sleep(0.2)
    ended(process, 0)
    assert not left_over(lab)
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")
    assert enforcing.actions() == []


def test_the_next_run_takes_over_from_a_trial_that_a_dead_run_left(
    enforcing: Site, lab: Lab
) -> None:
    process = begun(enforcing)
    process.kill()
    process.communicate()
    enforcing.keys["confirm"] = "off"
    enforcing.apply()
    assert not left_over(lab)
    assert (lab.tcp(443), lab.tcp(8080)) == ("open", "closed")


def test_starting_to_drop_is_on_trial_too(site: Site, lab: Lab) -> None:
    site.keys["confirm"] = "3s"
    process = begun(site)
    assert lab.tcp(8080) == "closed"
    ended(process, 6)
    assert lab.tcp(8080) == "open"
    assert site.actions() == ["attach machine web-1"]
    observed = json.loads(site.run("observe", "--output", "json").stdout)["firewalls"][0]
    assert observed["enforced"] is False


def test_law6_what_somebody_opens_during_the_trial_is_not_closed_unseen(
    enforcing: Site, lab: Lab
) -> None:
    process = begun(enforcing)
    lab.nft("add element inet cloudsync open4 { tcp . 8443 . 0.0.0.0/0 }")
    assert "changed by somebody else" in ended(process, 6)
    assert (lab.tcp(8443), lab.tcp(8080), lab.tcp(443)) == ("open", "open", "closed")
    assert not left_over(lab)


def test_law6_nor_by_a_confirmation(enforcing: Site, lab: Lab) -> None:
    process = begun(enforcing)
    process.kill()
    process.communicate()
    lab.nft("add element inet cloudsync open4 { tcp . 8443 . 0.0.0.0/0 }")
    refused = enforcing.run("confirm", environ=OTHER)
    assert refused.returncode == 1
    assert "changed by somebody else" in refused.stderr
    assert "8443" in lab.listing()


def wait_for_the_end_of_the_trial(lab: Lab) -> None:
    until = time.monotonic() + 20
    while "expires" in lab.listing().partition("set trial")[2].partition("chain")[0]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_confirm_under_sudo_knows_the_login_that_sudo_hides(
    enforcing: Site, lab: Lab, tmp_path: Path
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nenv -u SSH_CONNECTION "$@"\nexit $?\n')
    sudo.chmod(0o755)
    process = begun(enforcing, STARTER)
    try:
        enforcing.inside = (*lab.inside, str(sudo))
        refused = enforcing.run("confirm", environ=STARTER)
        assert refused.returncode == 1
        assert "this is the connection that the change was made in" in " ".join(
            (refused.stdout + refused.stderr).split()
        )
        done = enforcing.run("confirm", environ=OTHER)
        assert done.returncode == 0, (done.stdout, done.stderr)
        ended(process, 0)
    finally:
        process.kill()
    assert lab.scan((22, 443, 8080)) == {22, 443}
