"""NIC values: aliases, normal form, MAC fill-in."""

import pytest

from reconciler.sim.parameters.net import with_mac

MAC = "BC:24:11:00:00:01"


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("virtio,bridge=vmbr0", f"virtio={MAC},bridge=vmbr0"),
        ("virtio=aa:bb:cc:dd:ee:fe,bridge=vmbr0", "virtio=aa:bb:cc:dd:ee:fe,bridge=vmbr0"),
        (
            "bridge=vmbr0,model=e1000,tag=5,rate=12.5,macaddr=BC:24:11:AA:00:01",
            "e1000=BC:24:11:AA:00:01,bridge=vmbr0,rate=12.5,tag=5",
        ),
        ("virtio,trunks=1;2-4,link_down=off", f"virtio={MAC},link_down=0,trunks=1;2-4"),
    ],
)
def test_a_nic_is_printed_model_first(given: str, printed: str) -> None:
    assert with_mac(given, lambda: MAC) == printed
