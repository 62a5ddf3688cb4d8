"""What `config:` passes through."""

import re

import pytest

from desired.catalog import Cluster
from desired.owned import OWNED, RESERVED, ROOT_ONLY, device_wrongs, is_owned, refusal
from desired.spec import VMSpec

SIMULATED = Cluster.model_validate({"simulated": {}})
ROOT = Cluster.model_validate(
    {"endpoints": ["https://a:8006"], "login": {"user": "root@pam", "password": "env:P"}}
)
OTHER = ROOT.model_copy(
    update={"login": ROOT.login and ROOT.login.model_copy(update={"user": "a@pve"})}
)
TOKEN = Cluster.model_validate(
    {"endpoints": ["https://a:8006"], "token": {"id": "root@pam!x", "secret": "env:T"}}
)


@pytest.mark.parametrize("key", ["acpi", "audio0", "vcpus", "tablet", "shares", "numa0"])
def test_any_other_key_passes(key: str) -> None:
    assert refusal(key, SIMULATED) is None


@pytest.mark.parametrize("key", ["args", "affinity", "amd-sev", "hookscript", "parallel0"])
def test_what_only_root_may_set_needs_the_login_of_root(key: str) -> None:
    words = {refusal(key, cluster) for cluster in (SIMULATED, OTHER, TOKEN, None)}
    assert words == {
        "only the login root@pam may set it, no token",
        "only the login root@pam may set it, not a@pve",
        "only the login root@pam may set it, not the token root@pam!x",
    }
    assert refusal(key, ROOT) is None


def test_a_device_by_its_address_needs_the_login_of_root() -> None:
    spec = VMSpec.model_validate(
        {
            **{"key": "a", "cluster": "c", "name": "a"},
            "pci": {"hostpci0": {"host": "0000:01:00"}, "hostpci1": {"mapping": "gpu"}},
            "usb": {"usb0": {"host": "1-1"}, "usb1": "spice"},
            "serials": {"serial0": "/dev/ttyS0", "serial1": "socket", "serial2": "none"},
        }
    )
    assert not list(device_wrongs(spec, ROOT))
    wrong = {one.path: one.message for one in device_wrongs(spec, TOKEN)}
    assert list(wrong) == [
        ("pci", "hostpci0", "host"),
        ("usb", "usb0", "host"),
        ("serials", "serial0"),
    ]
    assert wrong["usb", "usb0", "host"] == (
        "only the login root@pam may name a host's device, not the token root@pam!x; "
        "map it (Datacenter, Resource Mappings) and write mapping: NAME"
    )


def test_what_a_handler_owns_is_refused_with_its_field() -> None:
    assert refusal("cipassword", ROOT) == (
        "belongs to cloudinit.password of the spec; write it there"
    )
    assert refusal("virtio3", ROOT) == "belongs to disks.virtio3 of the spec; write it there"
    fields = {"hostpci1": "pci.hostpci1", "efidisk0": "efi", "citype": "cloudinit.type"}
    for key, field in fields.items():
        assert refusal(key, ROOT) == f"belongs to {field} of the spec; write it there"
    assert is_owned("net31")
    assert not is_owned("net")
    assert refusal("unused0", ROOT) == "is no setting that can be passed through"


def test_no_key_is_in_two_groups() -> None:
    groups = (OWNED, RESERVED, ROOT_ONLY)
    keys = [[re.sub(r"\\[dw]\+", "0", pattern) for pattern in group] for group in groups]
    for index, group in enumerate(groups):
        for others in keys[:index] + keys[index + 1 :]:
            assert not [key for key in others if re.fullmatch("|".join(group), key)]
