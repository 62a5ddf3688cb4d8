"""Tags: the spec's, and the one that marks the fleet."""

from collections.abc import Iterable
from dataclasses import replace

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
    fingerprint `tags` remembers which. Without `tags:` only the marker is ours. Upper case makes
    no difference, and stays as others wrote it.

    Risk: none.
    """

    name = "tags"
    subject = Subject.VM
    after = ("exists",)
    blocking = False
    keys = ("tags",)
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        spelt = {tag.lower(): tag for tag in wanted(seen).tags}
        old, given = set(spelt), _given(seen)
        mark = marker_tag(seen.fleet)
        new = old | {mark}
        remember: tuple[tuple[str, str], ...] = ()
        if spec.tags is not None:
            ours = {tag.lower() for tag in spec.tags}
            new = (old - given) | ours | {mark}
            remember = (("tags", ",".join(sorted((ours & given) | (ours - old)))),)
        if new == old:
            return
        change = config_change(
            seen,
            self.name,
            "tags",
            old=tuple(sorted(old)) or None,
            new=tuple(sorted(new)),
            params={"tags": ";".join(spelt.get(tag, tag) for tag in sorted(new))},
        )
        yield replace(change, remember=remember)


def _given(seen: SeenVM) -> set[str]:
    """The tags that we gave, also by a write whose answer was lost."""
    intent = seen.memory.intents.get("write:tags")
    texts = (seen.memory.fingerprints.get("tags", ""), intent.detail if intent else "")
    return {tag for text in texts for tag in text.split(",") if tag}
