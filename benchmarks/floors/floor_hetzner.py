"""The shortest script: `floor_hetzner.py create|no-op|write COUNT PORT,PORT,…` at
HCLOUD_ENDPOINT."""

import os
import sys
import time

from hcloud import Client
from hcloud.actions import Action
from hcloud.firewalls import FirewallRule

client = Client(os.environ["HCLOUD_TOKEN"], api_endpoint=os.environ["HCLOUD_ENDPOINT"])
mode, count, ports = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
rules = [FirewallRule("in", "tcp", ["0.0.0.0/0", "::/0"], port=port) for port in ports]
if mode == "create":
    for number in range(count):
        client.firewalls.create(f"bench-{number}", rules)
    sys.exit()
firewalls, servers = client.firewalls.get_all(), client.servers.get_all()
if mode == "write":
    for firewall in firewalls:
        actions = firewall.set_rules(rules)
        while actions := [action for action in actions if action.status == "running"]:
            time.sleep(0.1)
            asked = {"id": [action.id for action in actions], "per_page": 50}
            actions = [
                Action.from_dict(one)
                for one in client.request("GET", "/actions", params=asked)["actions"]
            ]
    firewalls, servers = client.firewalls.get_all(), client.servers.get_all()
for firewall in firewalls:
    assert {rule.port for rule in firewall.rules} == set(ports), firewall.name
