"""The pages about installing and unattended runs, pasted in a shell on every system they name: from
nothing to an applied firewall, a timer, a watching service, an upgrade, and nothing left."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.hetzner import HetznerDouble
from tests.installed import machines
from tests.installed.pages import ROOT, Block, Paster, blocks

WORDINGS = ROOT / "tests" / "cli" / "wordings"
SYSTEMD = ("systemd", "systemd-sysv", "dbus", "ca-certificates", "python3")
BARE = ("apt", "ca-certificates")
SYSTEMS = {
    "ubuntu-22.04": ("jammy", False),
    "ubuntu-24.04": ("noble", False),
    "ubuntu-26.04": ("resolute", False),
    "rhel-9": ("bookworm", True),
}
pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        not os.environ.get("CLOUDSYNC_LONG"),
        reason="takes minutes: `make installed` pastes them, for half an hour",
    ),
    pytest.mark.skipif(machines.unavailable() is not None, reason=machines.unavailable() or ""),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    machines.checkout(tmp_path)
    return tmp_path


def here(page: str, system: str) -> Iterator[Block]:
    yield from (block for block in blocks(page) if system in block.places)


def transcript(name: str, pasted: list[tuple[Block, str]], keep: str) -> None:
    """Blocks as they were pasted, with the lines they printed that match `keep`: recorded beside
    the other wordings of the first hour."""
    lines = []
    for block, shown in pasted:
        lines += [f"# {line}" for line in block.text.splitlines()]
        matches = (re.search(keep, line) for line in shown.splitlines())
        lines += [match[0] for match in matches if match is not None]
    file = WORDINGS / name / "after.txt"
    if os.environ.get("CLOUDSYNC_RECORD"):
        file.write_text("\n".join(lines) + "\n")
    assert "\n".join(lines) + "\n" == file.read_text()


def left(shell: Paster) -> list[str]:
    """What has cloudsync in its name and is on the machine's own disk."""
    shown = shell.run(
        "find / -xdev -name '*cloudsync*' -not -path '/checkout*' -not -path '/proc/*'"
    )
    return [line for line in shown.splitlines() if line.startswith("/")]


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_install_upgrade_and_uninstall(system: str, folder: Path) -> None:
    suite, rhel = SYSTEMS[system]
    with machines.plain(suite, BARE, folder, rhel=rhel) as shell:
        shown = "".join(shell.paste(block, timeout=900) for block in here("install.md", system))
        versions = re.findall(r"^cloudsync 0\.", shown, re.MULTILINE)
        assert len(versions) == 2  # after installing, and after the upgrade; doctor has its own
        assert left(shell) == ["/root/cloudsync.toml"]


@pytest.mark.parametrize(("system", "suite"), [("debian-12", "bookworm"), ("debian-13", "trixie")])
def test_from_nothing_to_a_timer_and_back(system: str, suite: str, folder: Path) -> None:
    with HetznerDouble() as cloud, machines.booted(suite, SYSTEMD, folder) as shell:
        cloud.add_server("web-1")
        pages = list(here("install.md", system))
        upgrade = next(n for n, block in enumerate(pages) if "pull --ff-only" in block.text)
        pasted = [(block, shell.paste(block, timeout=900)) for block in pages[:upgrade]]
        transcript("11-install", pasted[:2], r"cloudsync \d\S*$")
        assert "cloudsync-plan.1" in shell.run(
            "ls /usr/local/share/man/man1 || ls /opt/pipx/venvs/*/share/man/man1"
        )
        # What the page takes for granted: the group of Docker, and a cloudsync.toml.
        shell.run("getent group docker || groupadd --system docker")
        shell.run(
            f"sed -i 's|^\\[providers.hetzner\\]|&\\nendpoint = \"{cloud.endpoint}\"|'"
            " cloudsync.toml"
        )
        pasted = []
        for block in here("unattended.md", system):
            token = block.typed.replace("TOKEN", cloud.token)
            pasted.append((block, shell.paste(block, typed=token, timeout=400)))
            if "cloudsync apply" in block.text and "cron" in block.text:
                assert [
                    server for firewall in cloud.firewalls.values() for server in firewall.servers
                ]
        transcript(
            "12-systemd", pasted[4:6], r"^Nothing to do\.$|cloudsync\.timer +cloudsync\.service$"
        )
        status = shell.run("systemctl show -p Result -p ExecMainStatus cloudsync.service")
        journal = shell.run("journalctl -u 'cloudsync*' --no-pager -o cat -n 60")
        assert "Result=success" in status, journal
        assert "ExecMainStatus=0" in status
        assert "active" in shell.run("systemctl is-active cloudsync-watch.service")
        # By hand beside the service, and the service again: the state stays the service's (N4).
        by_hand = (
            "CREDENTIALS_DIRECTORY=/etc/cloudsync/credentials cloudsync apply -c"
            " /etc/cloudsync/config.toml"
        )
        assert "Nothing to do." in shell.run(f"{by_hand} --lock-timeout 60")
        again = shell.run(
            "systemctl restart cloudsync-watch.service; sleep 3; systemctl is-active"
            " cloudsync-watch.service"
        )
        assert "\nactive" in f"\n{again}"
        doctor = shell.run(
            "CREDENTIALS_DIRECTORY=/etc/cloudsync/credentials cloudsync doctor -c"
            " /etc/cloudsync/config.toml"
        )
        assert "systemd: cloudsync-watch.service" in doctor
        assert cloud.violations == []
        for block in pages[upgrade:]:
            shell.paste(block, timeout=900)
        assert left(shell) == ["/root/cloudsync.toml"]


def test_every_clouds_drop_in_hands_its_credential_to_the_service(folder: Path) -> None:
    """Under a real systemd, in the sandbox of the unit, as its user."""
    conf = sorted((ROOT / "deploy" / "systemd" / "clouds").iterdir())
    conf.remove(ROOT / "deploy" / "systemd" / "clouds" / "host.conf")  # has no credential
    with machines.booted("bookworm", SYSTEMD, folder) as shell:
        shell.run("getent group docker || groupadd --system docker")
        shell.run("install -d /etc/cloudsync && install -d -m 700 /etc/cloudsync/credentials")
        unit = (ROOT / "deploy" / "systemd" / "cloudsync.service").read_text()
        unit = re.sub(r"(?m)^ExecStart=.*$", "ExecStart=/bin/sh /etc/cloudsync/look", unit)
        shell.run(f"cat >/etc/systemd/system/cloudsync.service <<'END'\n{unit}END")
        shell.run("mkdir -p /etc/systemd/system/cloudsync.service.d")
        for file in conf:
            text = file.read_text()
            (name,) = re.findall(
                r"LoadCredential=([^:]+):/etc/cloudsync/credentials/\1$", text, re.MULTILINE
            )
            variable = re.findall(r"Environment=([A-Z_]+)=", text)
            place = f'"${variable[0]}"' if variable else f'"$CREDENTIALS_DIRECTORY/{name}"'
            shell.run(f"cat >/etc/systemd/system/cloudsync.service.d/cloud.conf <<'END'\n{text}END")
            shell.run(
                f"printf 'secret of {file.stem}\\n' | install -m 600 /dev/stdin"
                f" /etc/cloudsync/credentials/{name}"
            )
            shell.run(f"printf '%s\\n' 'cat {place}; id -u' >/etc/cloudsync/look")
            shown = shell.run(
                "systemctl daemon-reload; systemctl start cloudsync.service; journalctl -u"
                " cloudsync -n 20 --no-pager -o cat"
            )
            assert f"secret of {file.stem}" in shown, shown
            shell.run("rm /etc/cloudsync/credentials/*")


def test_every_block_of_the_two_pages_is_pasted_somewhere() -> None:
    known = {"debian-12", "debian-13", *SYSTEMS}
    for page in ("install.md", "unattended.md"):
        text = (ROOT / "docs" / page).read_text()
        image = text.find("## The image") if page == "install.md" else len(text)
        for block in blocks(page):
            if page == "install.md" and text.index(block.text) > image:
                continue  # tests/engine builds and runs it
            assert block.places, f"{page}: {block.text}"
            assert set(block.places) <= known
