"""What `config:` passes through."""

import re

import pytest

from desired.catalog import Cluster
from desired.owned import OWNED, RESERVED, ROOT_ONLY, is_owned, refusal

SIMULATED = Cluster.model_validate({"simulated": {}})
ROOT = Cluster.model_validate(
    {"endpoints": ["https://a:8006"], "login": {"user": "root@pam", "password": "env:P"}}
)
OTHER = ROOT.model_copy(
    update={"login": ROOT.login and ROOT.login.model_copy(update={"user": "a@pve"})}
)


@pytest.mark.parametrize("key", ["vga", "ostype", "vcpus", "bios", "shares", "numa0", "rng0"])
def test_any_other_key_passes(key: str) -> None:
    assert refusal(key, "x", SIMULATED) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("args", "-x"),
        ("affinity", "0-3"),
        ("parallel0", "/dev/parport0"),
        ("serial0", "/dev/ttyS0"),
        ("usb0", "host=1-1"),
        ("hostpci0", "0000:01:00"),
    ],
)
def test_what_only_root_may_set_needs_the_login_of_root(key: str, value: str) -> None:
    for cluster in (SIMULATED, OTHER, None):
        assert refusal(key, value, cluster) == "only the login root@pam may set it, no token"
    assert refusal(key, value, ROOT) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("serial0", "socket"), ("usb0", "spice"), ("hostpci0", "mapping=gpu")],
)
def test_harmless_devices_pass_for_all(key: str, value: str) -> None:
    assert refusal(key, value, SIMULATED) is None


def test_what_a_handler_owns_is_refused_with_its_field() -> None:
    assert refusal("cipassword", "x", ROOT) == (
        "belongs to cloudinit.password of the spec; write it there"
    )
    assert refusal("virtio3", "x", ROOT) == "belongs to disks.virtio3 of the spec; write it there"
    assert is_owned("net31")
    assert not is_owned("net")
    assert refusal("unused0", "x", ROOT) == "is no setting that can be passed through"


def test_no_key_is_in_two_groups() -> None:
    groups = (OWNED, RESERVED, ROOT_ONLY)
    keys = [[re.sub(r"\\[dw]\+", "0", pattern) for pattern in group] for group in groups]
    for index, group in enumerate(groups):
        for others in keys[:index] + keys[index + 1 :]:
            assert not [key for key in others if re.fullmatch("|".join(group), key)]
