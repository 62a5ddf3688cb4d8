"""The Proxmox names of a fleet: rolled once, reused while their template stands (CI-03)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from desired.draft import Draft
from desired.render import DEFAULT_NAME, BadTemplate, Renderer
from desired.report import Report
from desired.source import RolledName
from desired.wording import Wrong

ATTEMPTS = 100
"""How often a random name is rolled until it is one that nobody has."""


@dataclass(frozen=True, slots=True)
class Namer:
    """Gives each draft its name; equal seeds and stored names give equal names."""

    renderer: Renderer
    report: Report
    names: Mapping[str, RolledName]
    seed: bytes
    at: datetime

    def name_all(self, drafts: Iterable[Draft]) -> None:
        """Name the drafts and put the name into their trees and templates.

        Names without random parts come first, then those rolled now, by key: so neither the order
        of the files nor a dry run changes what is rolled.
        """
        taken = {stored.name.lower() for stored in self.names.values()}
        rolling = []
        for draft in drafts:
            template = draft.tree.get("name", DEFAULT_NAME)
            if not isinstance(template, str):
                draft.tree["name_template"] = ""
                continue
            draft.tree["name_template"] = template
            stored = self._stored(draft, template)
            if stored is not None:
                _put(draft, stored)
            elif self._varies(template):
                rolling.append((draft, template))
            else:
                self._roll(draft, template, taken, 1)
        for draft, template in sorted(rolling, key=lambda row: row[0].key):
            self._roll(draft, template, taken, ATTEMPTS)

    def _stored(self, draft: Draft, template: str) -> str | None:
        was = draft.tree.get("was")
        stored = self.names.get(draft.key)
        if stored is None and isinstance(was, str) and self._varies(template):
            stored = self.names.get(was)
        return stored.name if stored and stored.template == template else None

    def _varies(self, template: str) -> bool:
        try:
            return self.renderer.varies(template)
        except BadTemplate:
            return False

    def _roll(self, draft: Draft, template: str, taken: set[str], attempts: int) -> None:
        name = ""
        for attempt in range(attempts):
            try:
                name = self.renderer.roll(template, draft.context, self.seed, attempt, self.at)
            except BadTemplate as error:
                self.report.add(draft.fault(Wrong(("name",), str(error))), draft.key)
                draft.failed.append(("name",))
                return
            if template == DEFAULT_NAME:
                name = name.replace("/", "-")
            if name.lower() not in taken:
                break
        taken.add(name.lower())
        _put(draft, name)


def _put(draft: Draft, name: str) -> None:
    draft.name = draft.context["name"] = draft.tree["name"] = str(name)
