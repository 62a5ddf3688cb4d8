"""Tags: the spec's, and the one that marks the fleet."""

from collections.abc import Iterable

from desired.spec import VMSpec
from handlers.effects import wanted
from handlers.handler import Subject, config_change, send_calls
from handlers.marker import marker_tag
from state.change import Change, Note
from state.observed import SeenVM


class Tags:
    """Adds the spec's tags and the fleet's marker tag; tags that others gave stay.

        tags: [web, production]

    Owns `tags`. Live. A tag that leaves the spec is taken away only if we gave it: the
    fingerprint `tags` remembers which (`remembered`). Without `tags:` only the marker is ours.

    Risk: none.
    """

    name = "tags"
    subject = Subject.VM
    after = ("exists",)
    blocking = False
    keys = ("tags",)
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        old = {tag.lower() for tag in wanted(seen).tags}
        new = old | {marker_tag(seen.fleet)}
        if spec.tags is not None:
            ours = {tag.lower() for tag in spec.tags}
            given = set(seen.memory.fingerprints.get("tags", "").split(","))
            new = (new - given) | ours | {marker_tag(seen.fleet)}
        if new != old:
            shown = tuple(sorted(new))
            yield config_change(
                seen,
                self.name,
                "tags",
                old=tuple(sorted(old)) or None,
                new=shown,
                params={"tags": ";".join(shown)},
            )


def remembered(spec: VMSpec) -> str | None:
    """Return what to keep as the fingerprint `tags` once they are written; None = keep the old."""
    return None if spec.tags is None else ",".join(sorted(tag.lower() for tag in spec.tags))
