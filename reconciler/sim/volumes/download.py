"""POST /nodes/N/storage/S/download-url: ISOs and images fetched by the node.

Nothing is really fetched: every host but those under .invalid answers, how much is drawn from the
URL, and a checksum is believed. Source: pve-storage PVE/API2/Storage/Status.pm (download_url),
pve-common PVE/Tools.pm (download_file_from_url).
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.sim.accounts.access import both, either, perm
from reconciler.sim.cluster.inventory import Storage, Volume
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed, bad_parameters, failed
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.parameters.volnames import file_path
from reconciler.sim.routes import Request, route
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MIB = 1 << 20
SPEED = 100 * MIB
SUMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
ENDINGS = {
    "iso": re.compile(r"[^/]+\.(?:iso|img)\Z", re.IGNORECASE),
    "vztmpl": re.compile(r"[^/]+\.tar\.(?:gz|xz|zst|bz2)\Z"),
    "import": re.compile(r"[a-zA-Z0-9\-.+=_]+\.(?:ova|qcow2|raw|vmdk)\Z"),
}


@route(
    "POST",
    "/nodes/{node}/storage/{storage}/download-url",
    fields={
        "checksum": Text(optional=True, requires="checksum-algorithm"),
        "checksum-algorithm": Text(optional=True, enum=SUMS, requires="checksum"),
        "compression": Text(optional=True, enum=("gz", "lzo", "zst", "bz2")),
        "content": Text(enum=tuple(ENDINGS)),
        "filename": Text(max_length=255),
        "url": Text(pattern=r"https?://.*"),
        "verify-certificates": Boolean(optional=True),
    },
    permission=both(
        perm("/storage/{storage}", "Datastore.AllocateTemplate"),
        either(
            perm("/", "Sys.Audit", "Sys.Modify"),
            perm("/nodes/{node}", "Sys.AccessNetwork"),
        ),
    ),
    protected=True,
)
def download(world: World, request: Request) -> str:
    """The name is made safe first; a file of that name is overwritten."""
    params = request.params
    place, content = str(params["storage"]), str(params["content"])
    store = storage.enabled_storage(world, place, request.node)
    if store.path is None:
        raise failed(f"can't upload to storage type '{store.kind}', not a file based storage!\n")
    if content not in store.content:
        raise failed(f"storage '{place}' is not configured for content-type '{content}'\n")
    name = right_name(content, str(params["filename"]))
    args = {"place": place, "name": f"{content}/{name}", "url": str(params["url"])}
    first = Step("download.open", args | {"compression": params.get("compression")})
    return world.tasks.start(request.node, "download", name, request.identity, [first])


def right_name(content: str, name: str) -> str:
    """The last part of a path, odd characters replaced (normalize_content_filename). Raises 400:
    not the ending of such content."""
    safe = re.sub(r"[^a-zA-Z0-9_.\-]", "_", re.sub(r"^.*[/\\]", "", name.rstrip("\n")))
    if not ENDINGS[content].match(safe):
        wrong = "invalid filename or wrong extension" if content == "import" else None
        raise bad_parameters({"filename": wrong or "wrong file extension"})
    return safe


def drawn_size(url: str) -> int:
    """Bytes of what lies at the URL: the same each time."""
    return random.Random(url).randrange(200 * MIB, 900 * MIB)


@step("download.open")
def open_url(
    world: World, task: Task, place: str, name: str, url: str, compression: str | None
) -> list[Step]:
    content = name.partition("/")[0]
    if compression is not None and content != "iso":
        raise TaskFailed(f"decompression not supported for {content}")
    path = file_path(storage.storage_of(world, place), name)
    task.say(f"downloading {url} to {path}")
    command = f"/usr/bin/wget --progress=dot:giga -O {path}.tmp_dwnl.{task.pid} {url}"
    task.say(f"command: {command}")
    args = {"place": place, "name": name, "url": url, "command": command}
    if (urlsplit(url).hostname or "").endswith(".invalid"):
        task.say(f"wget: unable to resolve host address '{urlsplit(url).hostname}'")
        raise TaskFailed(f"download failed: command '{command}' failed: exit code 4")
    return [Step("download.done", args, drawn_size(url) / SPEED)]


@step("download.done")
def finish(world: World, task: Task, place: str, name: str, url: str, command: str) -> None:
    store = storage.storage_of(world, place)
    size = drawn_size(url)
    if not room_for(world, task.node, store, name, size):
        task.say("wget: Cannot write to file (No space left on device).")
        raise TaskFailed(f"download failed: command '{command}' failed: exit code 3")
    packed = name.endswith((".qcow2", ".vmdk"))
    keep_file(world, task.node, store, name, size, 4 * size if packed else size)
    task.say(f"download of '{url}' to '{file_path(store, name)}' finished")


def room_for(world: World, node: str, store: Storage, name: str, size: int) -> bool:
    """Whether the file fits in, in the place of an older one of its name."""
    old = world.volume(node, f"{store.name}:{name}")
    taken = storage.used_bytes(world, node, store) - (old.used if old is not None else 0)
    return not store.full and taken + size <= store.size


def keep_file(world: World, node: str, store: Storage, name: str, size: int, virtual: int) -> None:
    content, _slash, file = name.partition("/")
    form = file.rpartition(".")[2] if content != "vztmpl" else "t" + file.rpartition(".")[2]
    place = "" if store.shared else node
    volume = Volume(
        f"{store.name}:{name}", place, content, form, size, used=size, ctime=int(world.now)
    )
    volume.virtual = virtual
    world.volumes[place, volume.volid] = volume
