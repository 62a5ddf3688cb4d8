"""PUT .../resize: absolute and relative sizes; failures in the task."""

import pytest

from tests.sim.conftest import Hands


@pytest.mark.parametrize(
    ("size", "stored"),
    [("3G", "3G"), ("+1G", "3G"), ("2560M", "2560M"), ("+0.5G", "2560M"), ("2G", "2G")],
)
def test_sizes(hands: Hands, size: str, stored: str) -> None:
    hands.vm(100, scsi0="local:2,format=qcow2")
    assert hands.task("PUT", "/100/resize", disk="scsi0", size=size) == "OK"
    assert hands.config(100)["scsi0"] == f"local:100/vm-100-disk-0.qcow2,size={stored}"


@pytest.mark.parametrize(
    ("disk", "size", "text"),
    [
        ("scsi0", "1G", "shrinking disks is not supported"),
        ("scsi5", "9G", "disk 'scsi5' does not exist"),
        ("ide2", "9G", "you can't resize a cdrom"),
    ],
)
def test_failures_are_in_the_task(hands: Hands, disk: str, size: str, text: str) -> None:
    hands.vm(100, scsi0="local:2", ide2="local:cloudinit")
    assert hands.task("PUT", "/100/resize", disk=disk, size=size) == text


def test_locks_digests_and_missing_vms_too(hands: Hands) -> None:
    hands.vm(100, scsi0="local:2")
    stale = hands.task("PUT", "/100/resize", disk="scsi0", size="3G", digest="0" * 40)
    assert stale == "checksum mismatch (file change by other user?)"
    hands.call("PUT", "/100/config", lock="migrate")
    locked = hands.task("PUT", "/100/resize", disk="scsi0", size="3G")
    assert locked == "VM is locked (migrate)"
    missing = hands.task("PUT", "/999/resize", disk="scsi0", size="3G")
    assert missing == "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist"
