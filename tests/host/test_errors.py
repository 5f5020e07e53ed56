"""What goes wrong is one line for the person who must act, and nothing is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.lab import Lab
from tests.host.namespace import NFT, Program, Trouble
from tests.host.site import NAME, Site

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
_OPENED = """set -e
path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
closed=$1 folder=$2
shift 2
mount --make-rprivate /
mount --bind "$folder" /mnt
mount -t tmpfs -o mode=755 tmpfs "$closed"
mkdir -p "$folder"
mount --bind /mnt "$folder"
PATH=$path
exec "$@"
"""


def reachable(folder: Path) -> tuple[str, ...]:
    """The words before a command for which every user may get to `folder`: a checkout in root's
    home is for root only."""
    closed = [str(parent) for parent in folder.parents if not parent.stat().st_mode & 0o001]
    if not closed:
        return ()
    words = (shutil.which("unshare") or "unshare", "-m", "/bin/sh", "-c", _OPENED, "reachable")
    return (*words, closed[-1], str(folder))


NOBODY = (
    *reachable(ROOT), "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
)  # fmt: skip


@pytest.fixture
def program(lab: Lab) -> Iterator[Program]:
    program = Program(lab.host)
    yield program
    program.close()


@pytest.fixture
def open_site(lab: Lab) -> Iterator[Site]:
    """In a folder that every user of the machine can look into; pytest's are ours alone."""
    with tempfile.TemporaryDirectory(prefix="cs-open-") as name:
        Path(name).chmod(0o755)
        yield Site(lab, Path(name))


def plan(site: Site, *before: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    site.inside = (*site.lab.inside, *before)
    return site.run("plan", environ={"PATH": path} if path else None)


def test_without_the_right_the_message_has_the_sudoers_line(open_site: Site) -> None:
    path = program_that(open_site.folder, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    done = plan(open_site, *NOBODY, path=path)
    assert done.returncode == 1
    message = done.stdout + done.stderr
    assert "needs root or CAP_NET_ADMIN, for reading too" in message
    assert "NOPASSWD: /usr/sbin/nft -j -n list table inet cloudsync" in message


def test_cap_net_admin_is_enough(open_site: Site) -> None:
    open_site.apply()
    shutil.rmtree(open_site.folder / "state")
    caps = ("--inh-caps", "+net_admin", "--ambient-caps", "+net_admin")
    done = plan(open_site, *NOBODY, *caps)
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_without_nft_it_says_what_to_install(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "tools" / "nft"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexec /nonexistent/nft\n")
    broken.chmod(0o755)
    done = plan(site, path=f"{broken.parent}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "install nftables" in done.stdout + done.stderr


def test_a_machine_where_nftables_is_not_installed_is_named_with_what_to_install(
    site: Site,
) -> None:
    hidden = f'mount --make-rprivate / && mount --bind /dev/null {NFT} && exec "$@"'
    done = plan(site, "unshare", "-m", "sh", "-c", hidden, "sh")
    assert done.returncode == 1
    assert "this machine has no nft: install nftables" in " ".join(done.stdout.split())


def program_that(folder: Path, name: str, *lines: str) -> str:
    """A PATH whose first program of that name does this."""
    program = folder / "tools" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text("\n".join(("#!/bin/sh", *lines, "")))
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_an_nft_without_json_is_named_with_the_package_that_has_it(
    site: Site, tmp_path: Path
) -> None:
    """As main.c of nftables says it where it was built without libjansson."""
    refusal = "echo 'JSON support not compiled-in' >&2; exit 1"
    path = program_that(tmp_path, "nft", f'case "$*" in *-j*) {refusal};; esac', f'exec {NFT} "$@"')
    done = site.run("apply", "--auto-approve", "--allow-attach", NAME, environ={"PATH": path})
    assert done.returncode == 1
    assert "built without JSON" in " ".join((done.stdout + done.stderr).split())
    assert site.lab.listing() == ""


@pytest.mark.parametrize(
    "complaint",
    [
        "/dev/stdin:4:1-9: Error: syntax error, unexpected string",
        "/dev/stdin:4:1-9: Error: Could not process rule: No such file or directory",
        "/dev/stdin:4:1-9: Error: Could not process rule: Operation not supported",
    ],
)
def test_an_nft_or_a_kernel_that_is_too_old_for_the_table_is_named_and_has_none(
    site: Site, tmp_path: Path, complaint: str
) -> None:
    """The second is how a kernel says that it lacks a module: nobody else was at the table."""
    refusal = f"cat >/dev/null; echo '{complaint}' >&2; exit 1"
    path = program_that(tmp_path, "nft", f'case "$*" in *-f*) {refusal};; esac', f'exec {NFT} "$@"')
    done = site.run("apply", "--auto-approve", "--allow-attach", NAME, environ={"PATH": path})
    assert done.returncode == 6
    message = " ".join((done.stdout + done.stderr).split())
    assert "needs nftables 0.9.4 and Linux 5.6 or newer" in message
    assert "somebody else" not in message
    assert site.lab.listing() == ""


def test_what_sudo_says_in_another_language_is_understood(open_site: Site) -> None:
    path = program_that(
        open_site.folder, "sudo",
        '[ "$LC_ALL" = C ] && echo "sudo: a password is required" >&2 && exit 1',
        'echo "sudo: Ein Passwort ist notwendig" >&2; exit 1',
    )  # fmt: skip
    done = plan(open_site, *NOBODY, path=path)
    assert done.returncode == 1
    assert "NOPASSWD" in done.stdout + done.stderr


def test_a_user_without_sudo_is_not_asked_to_install_nftables(open_site: Site) -> None:
    tools = open_site.folder / "tools"
    tools.mkdir()
    for name in ("nsenter", "setpriv", "nft"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = plan(open_site, *NOBODY, path=str(tools))
    assert done.returncode == 1
    assert "needs root or CAP_NET_ADMIN" in " ".join((done.stdout + done.stderr).split())
    assert "install nftables" not in done.stdout + done.stderr


def test_law6_a_table_of_the_same_name_by_somebody_else_is_not_touched(
    site: Site, lab: Lab
) -> None:
    lab.nft(
        "table inet cloudsync { chain input { type filter hook input priority 0; policy drop;"
        ' tcp dport { 22, 8080 } accept comment "theirs"; }\n }\n'
        "table ip cloudsync { chain c { }\n }\n"
    )
    everything = [*lab.inside, "nft", "-a", "list", "ruleset"]
    before = subprocess.run(everything, capture_output=True, text=True, check=True).stdout
    guards = {guard["id"]: guard["withholds"] for guard in site.plan()["guards"]}
    assert guards["ownership"] == "firewall"
    site.apply(code=3)
    assert subprocess.run(everything, capture_output=True, text=True, check=True).stdout == before
    # Its owner may say that it is the same firewall: what is in it stays, and is shown.
    (firewall,) = site.plan()["firewalls"]
    assert "the chain input, which cloudsync did not make" in firewall["kept"][0]["summary"]
    site.apply("--adopt", NAME)
    assert lab.scan((22, 443, 8080)) == {22}
    assert 'comment "theirs"' in lab.listing()
    assert site.actions() == []


def test_an_nft_that_crashes_is_named_with_the_way_out(site: Site, program: Program) -> None:
    site.apply()
    Trouble(program, lambda words: "crash")
    done = plan(site, path=f"{program.bin}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "Install nftables 1.0.9 or newer" in done.stdout + done.stderr
    assert program.writes() == 0


def test_a_table_that_cannot_be_understood_gets_no_write(site: Site, lab: Lab) -> None:
    lab.nft(
        "table inet cloudsync { set open4 { type ipv4_addr . inet_service; flags interval;"
        " elements = { 10.0.0.1 . 22 }; }\n }\n"
    )
    before = lab.listing("-a")
    done = site.run("apply", "--auto-approve", "--allow-attach", NAME, "--adopt", NAME)
    assert done.returncode == 1
    assert lab.listing("-a") == before


def test_a_machine_without_a_default_route_is_asked_again(site: Site, lab: Lab) -> None:
    for family in ("-4", "-6"):
        subprocess.run(["ip", "-n", lab.host, family, "route", "del", "default"], check=True)
    done = plan(site)
    assert done.returncode == 75
    assert "no default route" in done.stdout + done.stderr


def test_exactly_one_host(site: Site) -> None:
    text = site.write().read_text()
    (site.folder / "two.toml").write_text(
        text.replace('hosts = ["web-1"]', 'hosts = ["web-1", "web-2"]')
        + '[hosts.web-2]\nports = ["80/tcp"]\n'
    )
    words = [*site.lab.inside, sys.executable, "-m", "cloudsync", "config", "check"]
    done = subprocess.run(
        [*words, "-c", str(site.folder / "two.toml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 64
    assert "must name exactly one host" in done.stderr


def test_rules_of_somebody_else_in_our_chains_are_listed_and_left_alone(
    site: Site, lab: Lab
) -> None:
    site.apply()
    lab.nft('insert rule inet cloudsync judge ip saddr 192.0.2.9 drop comment "by hand"')
    (firewall,) = site.plan()["firewalls"]
    assert "by hand" in firewall["kept"][0]["summary"]
    site.ports.append("443/tcp")
    site.apply()
    assert 'comment "by hand"' in lab.listing()
    # What would have to be written around it is refused.
    site.keys["peers"] = ["10.0.0.0/24"]
    done = site.run("apply", "--auto-approve", "--allow-attach", NAME)
    assert done.returncode == 3
    assert "somebody else" in done.stdout + done.stderr
    assert 'comment "by hand"' in lab.listing()


def test_chains_that_somebody_changed_are_put_right(site: Site, lab: Lab) -> None:
    site.apply()
    lab.nft("flush chain inet cloudsync judge")
    assert lab.tcp(8080) == "open"
    assert site.actions() == ["reapply table inet cloudsync"]
    site.apply()
    assert (lab.tcp(22), lab.tcp(8080)) == ("open", "closed")
    assert site.actions() == []


def test_an_interface_that_becomes_an_uplink_needs_the_word_of_the_user(
    site: Site, lab: Lab
) -> None:
    site.apply()
    words = ["ip", "-n", lab.host, "link", "add", "up1", "type", "veth", "peer", "name", "up2"]
    subprocess.run(words, check=True)
    for line in ("link set up1 up", "link set up2 up", "addr add 192.0.2.1/24 dev up1"):
        subprocess.run(["ip", "-n", lab.host, *line.split()], check=True)
    route = "route add default via 192.0.2.2 metric 500"
    subprocess.run(["ip", "-n", lab.host, *route.split()], check=True)
    assert site.actions() == ["attach interfaces of web-1"]
    assert site.run("apply", "--auto-approve").returncode == 3
    site.apply()
    assert 'iifname "up1" goto judge' in lab.listing()
    assert site.actions() == []
