"""One node with a VM to back up, and short ways to do it."""

from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Answer
from reconciler.sim.cluster.tasks import Task
from tests.sim.conftest import Hands

NODE = "/nodes/pve1"
DISK = ("pve1", "local:100/vm-100-disk-0.qcow2")


class Keeper:
    """Backs VMs up on the recorded node, where storage `local` takes everything."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.world = hands.simulator.world

    def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        who: str = "root@pam",
    ) -> Answer:
        return self.hands.simulator.call(method, path, params or {}, who)

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        answer = self.ask("GET", path, params)
        assert answer.status == 200, answer
        return answer.data

    def refusal(self, method: str, path: str, params: Mapping[str, object] | None = None) -> str:
        """`status reason`, or the errors of a 400."""
        return said(self.ask(method, path, params))

    def task(self, upid: str) -> Task:
        found = self.world.tasks.get(upid)
        assert found is not None
        return found

    def begin(self, **params: object) -> Task:
        """A vzdump task that has just been started."""
        given = {"storage": "local"} | {key.replace("_", "-"): one for key, one in params.items()}
        answer = self.ask("POST", f"{NODE}/vzdump", given)
        assert answer.status == 200, answer
        return self.task(answer.data)

    def back_up(self, **params: object) -> Task:
        """The same, at its end."""
        task = self.begin(**params)
        self.hands.end(task.upid)
        return task

    def archives(self, **params: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(
            f"{NODE}/storage/local/content", {"content": "backup", **params}
        )
        return found

    def newest(self) -> str:
        return str(self.archives()[-1]["volid"])

    def newest_of(self, vmid: int) -> str:
        """The latest archive of a guest that is not protected."""
        rows = [row for row in self.archives(vmid=vmid) if not row.get("protected")]
        return str(max(rows, key=lambda row: row["ctime"])["volid"])

    def restore(self, vmid: int, archive: str, **params: object) -> Task:
        """A restore at its end."""
        answer = self.hands.call("POST", "", vmid=vmid, archive=archive, **params)
        assert answer.status == 200, answer
        self.hands.end(answer.data)
        return self.task(answer.data)

    def pass_by(self, seconds: float) -> None:
        self.hands.clock.pass_by(seconds)
        self.world.advance(self.hands.clock.now)

    def user(self, name: str, *grants: tuple[str, str]) -> str:
        """Somebody with roles at paths."""
        self.world.access.users[name] = User()
        for path, role in grants:
            self.world.access.grants.append(Grant(path, "user", name, role))
        self.world.access.changed()
        return name


def said(answer: Answer) -> str:
    """How a call was refused: `status reason`, or the errors of a 400."""
    assert answer.status >= 400, answer
    lines = [f"{key}: {text.rstrip()}" for key, text in sorted((answer.errors or {}).items())]
    return "\n".join(lines) or f"{answer.status} {answer.reason}"


@pytest.fixture
def keeper(hands: Hands) -> Keeper:
    """With VM 100 `one`, stopped: a system on 4 GiB, a disk that no backup takes, a NIC."""
    hands.vm(
        100,
        name="one",
        scsi0="local:4,format=qcow2",
        scsi1="local:1,format=qcow2,backup=0",
        net0="virtio,bridge=vmbr0",
        description="to keep",
    )
    hands.simulator.world.volumes[DISK].used = 1 << 20
    return Keeper(hands)
