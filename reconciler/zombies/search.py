"""Look for what names guests that are gone, in one cluster. Only reads.

Sources: `/cluster/resources`, `/nodes/N/storage/S/content`, `/cluster/ha/resources`,
`/cluster/ha/rules`, `/cluster/backup`, `/cluster/replication`, `/access/acl`, `/cluster/nextid`,
and of holders `/nodes/N/qemu/V/pending`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import get_args

from reconciler.pve.form import quote_segment
from reconciler.zombies.held import held
from reconciler.zombies.zombie import Kind, Known, Zombie
from state.api import Api, ApiError, NotFound, Refused
from state.view import Row, rows, text, whole

_VM_PATH = re.compile(r"/vms/(\d+)\Z")
_OPTION = {"user": "users", "group": "groups", "token": "tokens"}


@dataclass(slots=True)
class Search:
    """A search of one cluster; `problems` grow by what could not be asked."""

    cluster: str
    api: Api
    known: Known = field(default_factory=Known)
    problems: list[str] = field(default_factory=list)

    def guests(self) -> set[int]:
        """The vmids of all guests, containers too. Raises ApiError."""
        return {whole(row, "vmid") for row in self._resources() if "vmid" in row}

    def zombies(self) -> list[Zombie]:
        """Return what is left of guests that are surely gone. Raises ApiError.

        Gone is a vmid that is not listed on a quorate cluster and that `nextid` would give away
        (design 4); what the token may not see is listed nowhere, and is not free.
        """
        if not self._quorate():
            self._problem("it has no quorum, so nothing may be taken for gone")
            return []
        resources = self._resources()
        there = {whole(row, "vmid") for row in resources if "vmid" in row} | self.known.bound
        found = [*self._stored(resources), *self._ha(), *self._jobs(), *self._rights()]
        suspects = {one.vmid for one in found} - there
        gone = {vmid for vmid in sorted(suspects) if self._is_free(vmid)}
        order = get_args(Kind)
        return sorted(
            {*(one for one in found if one.vmid in gone), *held(self.api, self.cluster, resources)},
            key=lambda one: (one.vmid, order.index(one.kind), one.what, one.node),
        )

    def _resources(self) -> list[Row]:
        return rows(self.api.get("/cluster/resources"))

    def _quorate(self) -> bool:
        """A lone node has no row of a cluster, and needs no quorum."""
        found = [row for row in rows(self.api.get("/cluster/status")) if row["type"] == "cluster"]
        return all(whole(row, "quorate") for row in found)

    def _is_free(self, vmid: int) -> bool:
        try:
            self.api.get("/cluster/nextid", {"vmid": vmid})
        except Refused:
            return False
        except ApiError as error:
            self._problem(f"whether {vmid} is free: {error.text}")
            return False
        return True

    def _problem(self, why: str) -> None:
        self.problems.append(f"cluster {self.cluster}: {why}")

    def _listed(self, path: str) -> list[Row]:
        """The rows of a list; what this version does not have holds nothing."""
        try:
            return rows(self.api.get(path))
        except NotFound:
            return []
        except ApiError as error:
            if error.status != 501:
                self._problem(f"{path}: {error.text}")
            return []

    def _stored(self, resources: Sequence[Row]) -> Iterator[Zombie]:
        """Volumes and backups, of each storage once where all nodes see the same."""
        shared: set[str] = set()
        for place in resources:
            if place["type"] != "storage" or place.get("status") != "available":
                continue
            storage, node = str(place["storage"]), str(place["node"])
            common = bool(whole(place, "shared"))
            if common and storage in shared:
                continue
            shared.add(storage)
            path = f"/nodes/{quote_segment(node)}/storage/{quote_segment(storage)}/content"
            for row in self._listed(path):
                vmid = whole(row, "vmid")
                if vmid and not (common and vmid in self.known.elsewhere):
                    yield self._volume(row, vmid, "" if common else node)

    def _volume(self, row: Row, vmid: int, node: str) -> Zombie:
        volid = str(row["volid"])
        backup = row.get("content") == "backup"
        how = f"pvesm free {shlex.quote(volid)}"
        kept = self.known.kept(vmid) if backup else ""
        if backup and whole(row, "protected"):
            kept = ", ".join(filter(None, (kept, "protected: take that off first")))
        made = whole(row, "ctime")
        return Zombie(
            self.cluster,
            "backup" if backup else "volume",
            vmid,
            volid,
            how,
            node,
            whole(row, "size"),
            datetime.fromtimestamp(made, UTC) if made else None,
            text(row, "notes") or "",
            kept,
        )

    def _ha(self) -> Iterator[Zombie]:
        for row in self._listed("/cluster/ha/resources"):
            sid = str(row["sid"])
            for vmid in _sids(sid):
                yield Zombie(self.cluster, "ha", vmid, sid, f"ha-manager remove {sid}")
        for row in self._listed("/cluster/ha/rules"):
            name, members = str(row["rule"]), str(row.get("resources") or "")
            yield from self._rule(name, str(row.get("type")), members)

    def _rule(self, name: str, kind: str, members: str) -> Iterator[Zombie]:
        for vmid in _sids(members):
            rest = [one for one in _split(members) if vmid not in _sids(one)]
            how = f"ha-manager rules remove {name}"
            if rest:
                how = f"ha-manager rules set {kind} {name} --resources {','.join(rest)}"
            yield Zombie(self.cluster, "ha rule", vmid, name, how)

    def _jobs(self) -> Iterator[Zombie]:
        for row in self._listed("/cluster/backup"):
            name = str(row["id"])
            for key in ("vmid", "exclude"):
                listed = _split(str(row.get(key) or ""))
                for vmid in (int(one) for one in listed if one.isdigit()):
                    rest = ",".join(one for one in listed if int(one) != vmid)
                    yield Zombie(self.cluster, "backup job", vmid, name, _less(name, key, rest))
        for row in self._listed("/cluster/replication"):
            name = str(row["id"])
            how = f"pvesr delete {name} --force"
            yield Zombie(self.cluster, "replication", whole(row, "guest"), name, how)

    def _rights(self) -> Iterator[Zombie]:
        """What somebody may do with a guest; Proxmox shows those that the token may change."""
        for row in self._listed("/access/acl"):
            found = _VM_PATH.match(str(row["path"]))
            if found is None:
                continue
            option, who, role = _OPTION[str(row["type"])], str(row["ugid"]), str(row["roleid"])
            how = f"pveum acl delete {row['path']} --{option} {shlex.quote(who)} --roles {role}"
            yield Zombie(self.cluster, "acl", int(found[1]), f"{role} for {who}", how)


def _less(job: str, key: str, rest: str) -> str:
    """The command that takes one guest off a job; a job of that guest alone goes as a whole."""
    if rest:
        return f"pvesh set /cluster/backup/{job} --{key} {rest}"
    if key == "exclude":
        return f"pvesh set /cluster/backup/{job} --delete exclude"
    return f"pvesh delete /cluster/backup/{job}"


def _split(listed: str) -> list[str]:
    return [one for one in re.split(r"[,;\s]+", listed) if one]


def _sids(listed: str) -> list[int]:
    """The vmids of `vm:100,ct:101`."""
    parts = (one.rpartition(":")[2] for one in _split(listed))
    return [int(one) for one in parts if one.isdigit()]
