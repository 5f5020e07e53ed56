"""The provider `openstack`: security groups of Neutron, found and logged in to by openstacksdk."""

from __future__ import annotations

from cloudsync_openstack.plugin import OpenStackProvider

provider = OpenStackProvider()
