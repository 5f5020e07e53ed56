"""The shortest script: `floor_digitalocean.py create|no-op|write COUNT PORT,PORT,…` at
DIGITALOCEAN_ENDPOINT."""

import os
import sys
import time

import digitalocean

ENDPOINT = os.environ["DIGITALOCEAN_ENDPOINT"] + "/"
mode, count, ports = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
ANY = ["0.0.0.0/0", "::/0"]
inbound = [
    digitalocean.InboundRule(
        protocol="tcp", ports=port, sources=digitalocean.Sources(addresses=ANY)
    )
    for port in ports
]
outbound = [
    digitalocean.OutboundRule(
        protocol=protocol, ports=ports_, destinations=digitalocean.Destinations(addresses=ANY)
    )
    for protocol, ports_ in (("tcp", "1-65535"), ("udp", "1-65535"), ("icmp", None))
]


def at(thing: digitalocean.baseapi.BaseAPI) -> digitalocean.baseapi.BaseAPI:
    thing.end_point = ENDPOINT
    return thing


manager = at(digitalocean.Manager(token=os.environ["DIGITALOCEAN_TOKEN"]))
if mode == "create":
    for number in range(count):
        at(
            digitalocean.Firewall(
                token=manager.token,
                name=f"bench-{number}",
                inbound_rules=inbound,
                outbound_rules=outbound,
                droplet_ids=[],
                tags=[],
            )
        ).create()
    sys.exit()
page = {"page": 1, "per_page": 200}
firewalls = manager.get_data("firewalls", params=page)["firewalls"]
if mode == "write":
    wanted = set(ports)
    for firewall in firewalls:
        there = {rule["ports"] for rule in firewall["inbound_rules"]}
        for method, some in (("POST", wanted - there), ("DELETE", there - wanted)):
            if some:
                rules = [
                    {"protocol": "tcp", "ports": port, "sources": {"addresses": ANY}}
                    for port in sorted(some)
                ]
                manager.get_data(
                    f"firewalls/{firewall['id']}/rules",
                    type=method,
                    params={"inbound_rules": rules},
                )
                while (
                    manager.get_data(f"firewalls/{firewall['id']}")["firewall"]["status"]
                    != "succeeded"
                ):
                    time.sleep(0.1)
    firewalls = manager.get_data("firewalls", params=page)["firewalls"]
for firewall in firewalls:
    assert {rule["ports"] for rule in firewall["inbound_rules"]} == set(ports), firewall["name"]
