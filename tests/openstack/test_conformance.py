"""Every scenario of the suite on a real Neutron."""

from __future__ import annotations

import pytest

from cloudsync.testing import Conformance
from tests.conformance.openstack import OpenStackStage
from tests.openstack.proxy import NeutronProxy


@pytest.mark.emulator
class TestOpenStack(Conformance):
    @pytest.fixture
    def stage(self, proxy: NeutronProxy) -> OpenStackStage:
        return OpenStackStage(proxy)
