"""`cloudsync init` on a terminal lists the machines that the credentials see, at every cloud, by
the vendor's own library against its double."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.config import load
from tests.cli.test_init import typed
from tests.doubles.compute import ComputeDouble
from tests.doubles.digitalocean import DigitalOceanDouble
from tests.doubles.ec2 import Ec2Double, Nic
from tests.doubles.hetzner import HetznerDouble
from tests.doubles.http import Fault

HERE = socket.gethostname()
pytestmark = pytest.mark.emulator


def flat(shown: str) -> str:
    """What the terminal showed, without the progress line and with single spaces."""
    return re.sub(r"[ \n]+", " ", re.sub(r"\r\x1b\[K[^\n\r]*(?=\r\x1b\[K)|\r?\x1b\[K", "", shown))


@pytest.fixture
def hetzner() -> Iterator[HetznerDouble]:
    with HetznerDouble() as cloud:
        yield cloud
        assert cloud.violations == []


def at(cloud: HetznerDouble) -> tuple[str, ...]:
    return ("--provider", "hetzner", "--set", f"endpoint={cloud.endpoint}", "--ports", "443")


def test_hetzner_suggests_the_server_that_this_is(tmp_path: Path, hetzner: HetznerDouble) -> None:
    hetzner.add_server("db-1")
    hetzner.add_server(HERE)
    token = hetzner.read_only_token  # a token that may only read is enough
    code, shown = typed(tmp_path, "\n" * 8, *at(hetzner), HCLOUD_TOKEN=token)
    assert code == 0, shown
    assert "The credentials see 2 machines:" in shown
    assert f" {HERE} 198.51.100.10 this machine" in flat(shown)
    assert f"(none: attach later) [{HERE}]: " in flat(shown)
    assert f'servers = ["{HERE}"]' in (tmp_path / "cloudsync.toml").read_text()
    assert token not in shown
    assert {call.method for call in hetzner.calls} == {"GET"}


def test_no_machine_is_suggested_if_none_of_them_is_this_one(
    tmp_path: Path, hetzner: HetznerDouble
) -> None:
    hetzner.add_server("db-1")
    code, shown = typed(tmp_path, "\n" * 8, *at(hetzner), HCLOUD_TOKEN=hetzner.token)
    assert code == 0, shown
    assert "The credentials see 1 machine:" in shown
    assert 'servers = ["db-1"]' not in (tmp_path / "cloudsync.toml").read_text()


def test_the_address_of_the_ssh_session_tells_which_machine_this_is(
    tmp_path: Path, hetzner: HetznerDouble
) -> None:
    hetzner.add_server("web-1")
    session = "203.0.113.5 4000 198.51.100.10 22"
    code, shown = typed(
        tmp_path, "\n" * 8, *at(hetzner), HCLOUD_TOKEN=hetzner.token, SSH_CONNECTION=session
    )
    assert code == 0, shown
    assert 'servers = ["web-1"]' in (tmp_path / "cloudsync.toml").read_text()


def test_the_machine_that_is_chosen_gives_host_and_firewall_their_names(
    tmp_path: Path, hetzner: HetznerDouble
) -> None:
    hetzner.add_server("web-7")
    hetzner.add_server("db-1")
    answers = "web-7\n" + "\n" * 7
    code, shown = typed(tmp_path, answers, *at(hetzner), HCLOUD_TOKEN=hetzner.token)
    assert code == 0, shown
    configuration = load(tmp_path / "cloudsync.toml")
    assert list(configuration.hosts) == ["web-7"]
    assert list(configuration.firewalls) == ["web-7"]


def test_a_list_that_cannot_be_had_is_one_line_and_the_question_is_asked_all_the_same(
    tmp_path: Path, hetzner: HetznerDouble
) -> None:
    code, shown = typed(tmp_path, "web-9\n" + "\n" * 8, *at(hetzner), HCLOUD_TOKEN="wrong")
    assert code == 0, shown
    assert "note: the machines cannot be listed: GET /servers: unauthorized" in flat(shown)
    assert 'servers = ["web-9"]' in (tmp_path / "cloudsync.toml").read_text()


def test_half_a_list_is_no_list(tmp_path: Path, hetzner: HetznerDouble) -> None:
    for number in range(60):
        hetzner.add_server(f"web-{number}")
    hetzner.faults.append(Fault("GET", "/servers", skip=1, times=50))
    code, shown = typed(tmp_path, "\n" * 8, *at(hetzner), HCLOUD_TOKEN=hetzner.token)
    assert code == 0, shown
    assert "the machines cannot be listed" in shown
    assert "The credentials see" not in shown


def test_digitalocean(tmp_path: Path) -> None:
    with DigitalOceanDouble() as cloud:
        cloud.add_droplet(HERE, ("web",))
        words = ("--provider", "digitalocean", "--set", f"endpoint={cloud.endpoint}")
        code, shown = typed(
            tmp_path, "\n" * 8, *words, "--ports", "443", DIGITALOCEAN_TOKEN=cloud.token
        )
    assert code == 0, shown
    assert re.search(rf" {HERE} [0-9.]+ this machine, .*tags web", flat(shown))
    assert f'droplets = ["{HERE}"]' in (tmp_path / "cloudsync.toml").read_text()


def test_aws_suggests_the_vpc_to_make_a_group_in_and_names_the_groups_on_the_instance(
    tmp_path: Path,
) -> None:
    with Ec2Double() as cloud:
        group = cloud.add_group("by-hand", cloud.vpc)
        cloud.add_instance(HERE, Nic("", [group], public="198.51.100.7"))
        cloud.add_instance("gone", Nic("", [group]), state="terminated")
        words = ("--provider", "aws", "--set", "region=eu-central-1", "--ports", "443")
        code, shown = typed(
            tmp_path,
            "\n" * 8,
            *words,
            "--set",
            f"endpoint={cloud.endpoint}",
            AWS_ACCESS_KEY_ID=cloud.access_key,
            AWS_SECRET_ACCESS_KEY="s3cret",
            AWS_EC2_METADATA_DISABLED="true",
        )
    assert code == 0, shown
    assert f"{HERE} 198.51.100.7" in flat(shown)
    assert f"this machine, {cloud.vpc}, groups {group} (by-hand)" in flat(shown)
    assert "gone" not in shown
    assert f'vpc_id = "{cloud.vpc}"' in (tmp_path / "cloudsync.toml").read_text()
    assert "s3cret" not in shown


def test_google_cloud_suggests_the_network_tags_of_the_instance(tmp_path: Path) -> None:
    with ComputeDouble(project="shop-prod") as cloud:
        cloud.add_instance(HERE, tags=("web", "http"))
        cloud.add_instance("untagged")
        settings = ("project=shop-prod", "anonymous=true", f"endpoint={cloud.endpoint}")
        words = [word for setting in settings for word in ("--set", setting)]
        code, shown = typed(tmp_path, "\n" * 9, "--provider", "gcp", "--ports", "443", *words)
    assert code == 0, shown
    assert f"{HERE} 198.51.100.1 this machine, europe-west1-b, network default" in flat(shown)
    assert "no network tags yet" in shown
    firewall = load(tmp_path / "cloudsync.toml").firewalls
    assert [f.settings.target_tags for f in firewall.values()] == [["http", "web"]]  # type: ignore[attr-defined]


def test_a_provider_without_machines_lists_none(tmp_path: Path) -> None:
    code, shown = typed(tmp_path, "\n" * 8, "--provider", "local", "--ports", "443")
    assert code == 0, shown
    assert "The credentials see" not in shown


def test_a_key_of_the_accounts_table_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    words = ("--set", "endpoint=http://203.0.113.1/", "--provider", "local", "--ports", "443")
    code, shown = typed(tmp_path, "\n" * 8, *words)
    assert code == 64
    assert "plain http:// only to a loopback address" in flat(shown)
    assert not (tmp_path / "cloudsync.toml").exists()


def test_questions_are_wrapped_at_words(tmp_path: Path) -> None:
    code, shown = typed(tmp_path, "\n" * 8, "--provider", "local", "--ports", "443", COLUMNS="60")
    assert code == 0, shown
    # What is typed ends a question's last line, and came before the questions here.
    lines = re.sub(r"(\]|:): ?(?=[A-Z\n])", r"\1:\n", shown).splitlines()
    assert max(map(len, lines)) <= 60
    question = "Open every published port (published), or only where a label asks"
    assert question in flat(shown)
    assert question not in shown
