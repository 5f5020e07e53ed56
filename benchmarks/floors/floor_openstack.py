"""The shortest script: `floor_openstack.py create|no-op|write COUNT PORT,PORT,…` at
NEUTRON_ENDPOINT, a Neutron without Keystone, for the project NEUTRON_PROJECT."""

import os
import sys

from keystoneauth1.adapter import Adapter
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session

who = {"X-Project-Id": os.environ["NEUTRON_PROJECT"], "X-Roles": "member,reader", "X-User-Id": "u"}
session = Session(auth=NoAuth(), additional_headers=who)
neutron = Adapter(session, endpoint_override=f"{os.environ['NEUTRON_ENDPOINT']}/v2.0")
mode, count, ports = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
families = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}


def groups():
    found = neutron.get("/security-groups").json()["security_groups"]
    return [group for group in found if group["name"].startswith("bench-")]


def add(group, wanted):
    rules = [
        {"security_group_id": group["id"], "direction": "ingress", "ethertype": family}
        | {"protocol": "tcp", "port_range_min": int(port), "port_range_max": int(port)}
        | {"remote_ip_prefix": prefix}
        for port in wanted
        for family, prefix in families.items()
    ]
    if rules:
        neutron.post("/security-group-rules", json={"security_group_rules": rules})


def inbound(group):
    return [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]


if mode == "create":
    for number in range(count):
        made = neutron.post(
            "/security-groups", json={"security_group": {"name": f"bench-{number}"}}
        )
        add(made.json()["security_group"], ports)
    sys.exit()
there = groups()
if mode == "write":
    for group in there:
        open_now = {str(rule["port_range_min"]) for rule in inbound(group)}
        add(group, [port for port in ports if port not in open_now])
        for rule in inbound(group):
            if str(rule["port_range_min"]) not in ports:
                neutron.delete(f"/security-group-rules/{rule['id']}")
    there = groups()
assert len(there) == count
for group in there:
    assert {str(rule["port_range_min"]) for rule in inbound(group)} == set(ports), group["name"]
