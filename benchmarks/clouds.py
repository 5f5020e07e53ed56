"""What each contender is given for one cloud: the same names, the same ports, the same sources."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from benchmarks.double_process import DoubleProcess

BASE = [22, 80, 443, 1194]
MORE = [8001 + 2 * number for number in range(10)]
"""Ten rules more; no two of them next to each other, since neighbours would be one rule of a
range."""
MOST = {"aws": 200, "digitalocean": 200, "gcp": 200, "hetzner": 50}
"""Firewalls an account: Hetzner allows 50 a project."""
MODULES = {
    "aws": "amazon.aws.ec2_security_group",
    "digitalocean": "community.digitalocean.digital_ocean_firewall",
    "gcp": "google.cloud.gcp_compute_firewall",
    "hetzner": "hetzner.hcloud.firewall",
    "openstack": "openstack.cloud.security_group",
}
_ANY = ["0.0.0.0/0", "::/0"]


@dataclass(frozen=True)
class World:
    """An account at a double, with firewalls that belong to one contender."""

    cloud: str
    double: DoubleProcess
    count: int
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        about = self.double.about
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("AWS_", "OS_", "PYTHON", "ANSIBLE_"))
        }
        return kept | {
            "HCLOUD_TOKEN": about.get("secret", ""),
            "HCLOUD_ENDPOINT": about["endpoint"],
            "DIGITALOCEAN_TOKEN": about.get("secret", ""),
            "DIGITALOCEAN_ENDPOINT": about["endpoint"],
            "GCP_ENDPOINT": about["endpoint"],
            "AWS_ENDPOINT_URL": about["endpoint"],
            "AWS_ACCESS_KEY_ID": about.get("secret", ""),
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "VPC_ID": about.get("vpc", ""),
            "NEUTRON_ENDPOINT": about["endpoint"],
            "NEUTRON_PROJECT": about.get("project", ""),
            "HOME": str(self.folder),
            "NO_COLOR": "1",
        }

    def configuration(self, state: str, *, foreign: str = "ignore") -> Path:
        """The file for cloudsync."""
        endpoint = self.double.about["endpoint"]
        account: dict[str, Any] = {
            "aws": {"region": "eu-central-1", "endpoint": endpoint},
            "digitalocean": {"token": {"env": "DIGITALOCEAN_TOKEN"}, "endpoint": endpoint},
            "gcp": {"project": "p", "anonymous": True, "endpoint": endpoint},
            "hetzner": {"token": {"env": "HCLOUD_TOKEN"}, "endpoint": endpoint},
            "openstack": {
                "endpoint": endpoint,
                "anonymous": True,
                "project_id": self.double.about.get("project", ""),
            },
        }[self.cloud]
        own: dict[str, Any] = {
            "aws": {"vpc_id": self.double.about.get("vpc", "")},
            "digitalocean": {"private": "cut"},
            "gcp": {"target_tags": ["web"], "enforce": "allow"},
            "hetzner": {},
            "openstack": {},
        }[self.cloud]
        any_ = ["any4"] if self.cloud == "gcp" else ["any"]
        wanted = [{"ports": [f"{port}/tcp" for port in _ports(state)[1:]], "sources": any_}]
        document = {
            "version": 1,
            "owner": "bench",
            "state": f"file://{self.folder}/state",
            "ssh": {"ports": [22], "sources": any_},
            "policy": {"expose": "published", "grace": "0s", "max_close": 20, "foreign": foreign},
            "providers": {self.cloud: account},
            "hosts": {"web": {"ports": ["22/tcp"]}},
            "firewalls": {
                f"bench-{number}": {
                    "provider": self.cloud,
                    "hosts": ["web"],
                    "name": f"bench-{number}",
                    **own,
                    "allow": wanted,
                }
                for number in range(self.count)
            },
        }
        path = self.folder / f"{state}-{foreign}.toml"
        path.write_text(tomlkit.dumps(document))
        return path

    def playbook(self, state: str) -> Path:
        """The file for Ansible: one task, once a firewall."""
        ports = [str(port) for port in _ports(state)]
        name = "bench-{{ item }}"
        own: dict[str, Any] = {
            "aws": {
                "description": "bench",
                "vpc_id": self.double.about.get("vpc", ""),
                "purge_rules": True,
                "purge_rules_egress": False,
                "rules": [
                    {"proto": "tcp", "ports": ports, "cidr_ip": _ANY[:1], "rule_desc": "bench"},
                    {"proto": "tcp", "ports": ports, "cidr_ipv6": _ANY[1:], "rule_desc": "bench"},
                ],
            },
            "digitalocean": {
                "state": "present",
                "baseurl": self.double.about["endpoint"],
                "oauth_token": self.double.about.get("secret", ""),
                "droplet_ids": [],
                "tags": [],
                "inbound_rules": [
                    {"protocol": "tcp", "ports": port, "sources": {"addresses": _ANY}}
                    for port in ports
                ],
                "outbound_rules": [
                    {"protocol": "tcp", "ports": "1-65535", "destinations": {"addresses": _ANY}},
                    {"protocol": "udp", "ports": "1-65535", "destinations": {"addresses": _ANY}},
                ],
            },
            "gcp": {
                "network": {"selfLink": "global/networks/default"},
                "direction": "INGRESS",
                "priority": 900,
                "allowed": [{"ip_protocol": "tcp", "ports": ports}],
                "source_ranges": _ANY[:1],
                "target_tags": ["web"],
                "project": "p",
                "auth_kind": "accesstoken",
                "access_token": "any",
            },
            "hetzner": {
                "state": "present",
                "rules": [
                    {"direction": "in", "protocol": "tcp", "port": port, "source_ips": _ANY}
                    for port in ports
                ],
            },
            "openstack": {
                "state": "present",
                "auth_type": "none",
                "auth": {"endpoint": self.double.about["endpoint"]},
                "security_group_rules": [
                    {
                        "direction": "ingress",
                        "ether_type": family,
                        "protocol": "tcp",
                        "port_range_min": int(port),
                        "port_range_max": int(port),
                        "remote_ip_prefix": prefix,
                    }
                    for port in ports
                    for family, prefix in zip(("IPv4", "IPv6"), _ANY, strict=True)
                ],
            },
        }[self.cloud]
        task = {MODULES[self.cloud]: {"name": name, **own}, "loop": list(range(self.count))}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
        path = self.folder / f"{state}.yml"
        path.write_text(json.dumps([play]))
        return path

    def playbook_of_rules(self, case: str) -> Path:
        """The file for Ansible with a task for each rule, once a firewall; OpenStack only. Such a
        task knows of no other rule: only `10 out` says which ones go."""
        gone = MORE if case == "10 out" else []
        wanted = BASE + MORE if case == "10 in" else BASE
        rule = {
            "security_group": "bench-{{ item.0 }}",
            "state": "{{ item.1.state }}",
            "direction": "ingress",
            "ether_type": "{{ item.2.family }}",
            "protocol": "tcp",
            "port_range_min": "{{ item.1.port }}",
            "port_range_max": "{{ item.1.port }}",
            "remote_ip_prefix": "{{ item.2.prefix }}",
            "auth_type": "none",
            "auth": {"endpoint": self.double.about["endpoint"]},
        }
        ports = [{"port": port, "state": "present"} for port in wanted]
        ports += [{"port": port, "state": "absent"} for port in gone]
        families = [
            {"family": family, "prefix": prefix}
            for family, prefix in zip(("IPv4", "IPv6"), _ANY, strict=True)
        ]
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"groups_": list(range(self.count)), "ports": ports, "families": families},
            "tasks": [
                {
                    "openstack.cloud.security_group_rule": rule,
                    "loop": "{{ groups_ | product(ports, families) | list }}",
                }
            ],
        }
        path = self.folder / f"rules-{case.replace(' ', '-')}.yml"
        path.write_text(json.dumps([play]))
        return path

    def ports(self, state: str) -> str:
        """For the floor script."""
        return ",".join(map(str, _ports(state)))


def _ports(state: str) -> list[int]:
    return BASE if state == "base" else BASE + MORE
