"""POST /nodes/N/storage/S/upload: ISOs and images that a client sends.

The node that was asked keeps the file and copies it to the storage; only what a volume's row
shows of it is remembered. Source: pve-storage PVE/API2/Storage/Status.pm (upload),
PVE/Storage.pm (assert_iso_content), PVE/Storage/Plugin.pm (file_size_info).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed, failed
from reconciler.sim.parameters.schema import Text, Value
from reconciler.sim.parameters.volnames import file_path
from reconciler.sim.routes import Request, route
from reconciler.sim.volumes import storage
from reconciler.sim.volumes.download import ENDINGS, SPEED, SUMS, keep_file, right_name, room_for

if TYPE_CHECKING:
    from reconciler.sim.world import World

SECTOR = 512


class Received(str):
    """The name of a file that came with the request; `data` is what is in it."""

    data: bytes

    def __new__(cls, name: str, data: bytes) -> Received:
        made = super().__new__(cls, name)
        made.data = data
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName(Text):
    """Text that may be a file's name; it stays the file."""

    def convert(self, value: Value) -> Value:
        return value


@route(
    "POST",
    "/nodes/{node}/storage/{storage}/upload",
    fields={
        "checksum": Text(optional=True, requires="checksum-algorithm"),
        "checksum-algorithm": Text(optional=True, enum=SUMS, requires="checksum"),
        "content": Text(enum=tuple(ENDINGS)),
        "filename": Text(max_length=255),
        "tmpfilename": FileName(optional=True, pattern="/var/tmp/pveupload-[0-9a-f]+"),
    },
    permission=perm("/storage/{storage}", "Datastore.AllocateTemplate"),
    proxy_node=False,
    protected=True,
)
def upload(world: World, request: Request) -> str:
    """A file of the same name is overwritten."""
    params = request.params
    place, content = str(params["storage"]), str(params["content"])
    store = storage.enabled_storage(world, place, request.node)
    if store.path is None:
        raise failed(f"can't upload to storage type '{store.kind}'\n")
    temporary = params.get("tmpfilename")
    if not temporary:
        raise failed("missing temporary file name\n")
    if not isinstance(temporary, Received):
        raise failed(f"temporary file '{temporary}' does not exist\n")
    name = right_name(content, str(params["filename"]))
    if content not in store.content:
        raise failed(f"storage '{place}' does not support '{content}' content\n")
    data = temporary.data
    form = name.rpartition(".")[2]
    algorithm = params.get("checksum-algorithm")
    sums = None
    if algorithm:
        sums = [hashlib.new(str(algorithm), data).hexdigest(), str(params["checksum"]).lower()]
    args = {
        "node": request.node,
        "place": place,
        "name": f"{content}/{name}",
        "temporary": str(temporary),
        "size": len(data),
        "virtual": virtual_size(data, form) if content == "import" else len(data),
        "form": form,
        "sums": sums,
    }
    first = Step("upload.check", args)
    return world.tasks.start(request.via or request.node, "imgcopy", "", request.identity, [first])


def virtual_size(data: bytes, form: str) -> int | None:
    """The size of the disk that an image holds; None if the image is not of that format."""
    if form == "qcow2":
        return int.from_bytes(data[24:32], "big") if data.startswith(b"QFI\xfb") else None
    if form == "vmdk":
        sectors = int.from_bytes(data[12:20], "little")
        return sectors * SECTOR if data.startswith(b"KDMV") else None
    return -(-len(data) // SECTOR) * SECTOR


@step("upload.check")
def check(
    world: World,
    task: Task,
    node: str,
    place: str,
    name: str,
    temporary: str,
    size: int,
    virtual: int | None,
    form: str,
    sums: list[str] | None,
) -> list[Step]:
    task.say(f"starting file import from: {temporary}")
    if sums is not None:
        got, expected = sums
        if got != expected:
            task.say("calculating checksum...")
            raise TaskFailed(f"checksum mismatch: got '{got}' != expect '{expected}'")
        task.say("calculating checksum...OK, checksum verified")
    if virtual is None:
        opening = f"qemu-img: Could not open '{temporary}'"
        raise TaskFailed(f"{opening}: Image is not in {form} format")
    target = file_path(storage.storage_of(world, place), name)
    copy = f"cp -- {temporary} {target}"
    other = world.nodes.get(node)
    if other is not None and node != task.node:
        copy = f"/usr/bin/scp -o BatchMode=yes -p -- {temporary} [{other.ip}]:{target}"
    task.say(f"target node: {node}")
    task.say(f"target file: {target}")
    task.say(f"file size is: {size}")
    task.say(f"command: {copy}")
    args = {"node": node, "place": place, "name": name, "size": size, "virtual": virtual}
    return [Step("upload.copied", args, size / SPEED)]


@step("upload.copied")
def copied(
    world: World, task: Task, node: str, place: str, name: str, size: int, virtual: int
) -> None:
    store = storage.storage_of(world, place)
    if not room_for(world, node, store, name, size):
        text = f"cp: error writing '{file_path(store, name)}': No space left on device"
        task.say(text)
        raise TaskFailed(f"import failed: {text}")
    keep_file(world, node, store, name, size, virtual)
    task.say("finished file import successfully")
