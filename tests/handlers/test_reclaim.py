"""The permission to erase one volume: given by an approval, and over when the volume is gone."""

from dataclasses import replace

from handlers.reclaim import boot_disks, erases, permit
from state.change import Effect
from state.memory import Intent
from tests.engine import AT, change, config, seen

MAY = Intent("web-1", "erase:scsi1", AT, 0, "a:vm-101-disk-1")
ERASING = change("reclaim", "scsi1", old="a:vm-101-disk-1, 8 GiB", new=None, effect=Effect.DESTROY)


def test_c_07_an_approved_change_permits_to_erase_the_volume_that_it_names() -> None:
    approved = replace(ERASING, approval=True)
    assert permit(approved, AT) == MAY
    assert permit(ERASING, AT) is None
    assert permit(replace(approved, handler="exists"), AT) is None


def test_c_07_the_permission_stands_until_the_volume_is_nowhere() -> None:
    attached: dict[str, object] = {"scsi1": "a:vm-101-disk-1,size=8G"}
    assert erases(seen(config=config(scsi1=attached["scsi1"])), MAY)
    assert erases(seen(config=config(live=attached, cores=1)), MAY)
    assert erases(seen(config=config(unused0="a:vm-101-disk-1")), MAY)
    assert not erases(seen(config=config(scsi1="a:vm-101-disk-2")), MAY)
    assert erases(seen(config=None), MAY)


def test_the_boot_disk_is_the_one_of_now_and_the_one_of_the_next_start() -> None:
    both = config(live={"scsi0": "a:x", "boot": "order=scsi0"}, scsi1="a:y", boot="order=scsi1")
    assert boot_disks(seen(config=both)) == {"scsi0", "scsi1"}
