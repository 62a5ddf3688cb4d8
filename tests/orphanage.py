"""Fleets whose specs go away: a lab, its specs as a mapping, and what its runs make of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml

from reconciler.config import open_live, open_preview
from reconciler.orphans.orphan import ORPHAN, Orphan
from reconciler.orphans.watch import watched
from state.memory import Intent
from state.specs import Edit
from tests.lab import Lab
from tests.laws.fleets import POOLS, Spec

HOUR = 3600.0
FLEET = """\
fleet: {name}
sources: [{sources}]
clusters: {{demo: {{simulated: {{nodes: 3}}}}}}
defaults: {{cluster: demo, template: debian-12, storage: local-lvm}}
templates: {{debian-12: {{demo: [9000, 9001, 9002]}}}}
rollout: {rollout}
guard: {{minimum: {minimum}, destroys: {destroys}}}
limits: {{workers: 1}}
prune: {prune}
"""
TINY: Spec = {"memory": "1GiB"}


class Orphanage(Lab):
    """A lab whose VMs stand in files of any names, or in the database."""

    def __init__(self, folder: Path, specs: Mapping[str, Spec], **rules: object) -> None:
        self.rules = {"name": "law", "sources": "files", "prune": "{grace: 24h}"}
        self.rules |= {"minimum": "0", "destroys": "100%", "rollout": "off"}
        super().__init__(folder, {"pools/public.yaml": POOLS})
        self.name(**rules)
        self.specs(specs)

    def name(self, **rules: object) -> None:
        """Write fleet.yaml with other rules than it had."""
        self.rules |= {name: str(value) for name, value in rules.items()}
        self.write({"fleet.yaml": FLEET.format(**self.rules)})

    def specs(self, specs: Mapping[str, Spec], file: str = "all") -> None:
        """Write a file of VMs; without any it is removed."""
        path = self.fleet / "vms" / f"{file}.yaml"
        path.unlink(missing_ok=True)
        if specs:
            self.write({f"vms/{file}.yaml": yaml.safe_dump(dict(specs))})

    def edit(self, **specs: Spec | None) -> None:
        """Store specs in the database, or delete them there."""
        with open_live(self.fleet, self.where, self.at) as opened:
            edits = [Edit(key, spec) for key, spec in specs.items()]
            opened.store.specs.edit(edits, "ann", self.at)

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    @property
    def orphans(self) -> dict[str, Orphan]:
        """What the next run would make of those without a spec."""
        with open_preview(self.fleet, self.where, self.at) as opened:
            return dict(watched(opened.fleet, opened.store, self.at)[1].orphans)

    @property
    def intents(self) -> dict[str, Intent]:
        with self.store() as store:
            return store.intents.of_kind(ORPHAN)

    @property
    def ours(self) -> set[str]:
        """The keys that are bound."""
        with self.store() as store:
            return set(store.bindings.names())

    @property
    def machines(self) -> set[int]:
        """The vmids of the cluster that are no templates."""
        return {vmid for vmid in self.world.vms if vmid < 9000}

    def days(self, number: float = 1.1) -> None:
        self.clock.sleep(number * 24 * HOUR)
