"""An adoption as text and JSON: which VMs, under which keys, and what no spec says of them."""

from collections.abc import Sequence

from reconciler.adopt.apply import Adoption, Taking
from reconciler.adopt.folder import AdoptedFile
from reconciler.adopt.propose import Proposal, Proposed
from reconciler.show.text import Paint, count_of, table
from state.api import Json

Shown = Proposed | Taking


def render_proposal(proposal: Proposal, files: Sequence[AdoptedFile], paint: Paint) -> str:
    """One line a VM, what is left out and why, and the files."""
    lines = []
    if proposal.taken:
        rows = [
            (_place(one), one.candidate.name, one.key, one.package or "-", _unsaid(one))
            for one in proposal.taken
        ]
        lines.append(table(("PLACE", "NAME", "KEY", "PACKAGE", "LEFT AS IT IS"), rows, paint))
        for one in proposal.taken:
            lines += [f"  {one.key}: {text}" for text in one.unsaid]
    lines += left_out(proposal.left_out, paint)
    lines += [paint.bad(f"! {problem}") for problem in proposal.problems]
    lines += [f"{one.mark} {one.inner}" for one in files]
    counted = f"{count_of(len(proposal.taken), 'VM')} can be adopted as they are"
    lines.append(paint.bold(f"{counted}, {_told(proposal.left_out)} left out."))
    return "\n".join(lines)


def render_adoption(adoption: Adoption, paint: Paint) -> str:
    """What was taken over, and what was left and why."""
    lines = [f"{_place(one)} is {one.key}" for one in adoption.taken]
    lines += left_out(adoption.left_out, paint)
    lines += [paint.bad(f"! {problem}") for problem in adoption.problems]
    text = f"{count_of(len(adoption.taken), 'VM')} adopted"
    if adoption.run and adoption.run.ready < len(adoption.taken):
        waiting = len(adoption.taken) - adoption.run.ready
        text += f", {waiting} of them not marked yet: the next run goes on"
    lines.append(paint.bold(f"{text}, {_told(adoption.left_out)} left out."))
    return "\n".join(lines)


def left_out(vms: Sequence[Shown], paint: Paint) -> list[str]:
    """One line a VM that is left out; those that go without saying are only counted."""
    told = [one for one in vms if not one.expected]
    lines = [
        paint.warn(f"- {_place(one)} {one.candidate.name}".rstrip() + f": {one.refused}")
        for one in told
    ]
    if len(told) < len(vms):
        others = count_of(len(vms) - len(told), "VM")
        lines.append(paint.dim(f"  {others} passed over: templates, or in the fleet already"))
    return lines


def proposal_json(proposal: Proposal, files: Sequence[AdoptedFile]) -> dict[str, Json]:
    """`{vms: [{cluster, vmid, name, key, package, unsaid, refused}], files, problems}`."""
    rows: list[Json] = [
        {**_named(one), "package": one.package or None, "unsaid": list(one.unsaid)}
        for one in proposal.vms
    ]
    listed: list[Json] = [{"path": one.inner, "mark": one.mark, "text": one.text} for one in files]
    return {"vms": rows, "files": listed, "problems": list(proposal.problems)}


def adoption_json(adoption: Adoption) -> dict[str, Json]:
    """`{adopted: [{cluster, vmid, name, key, refused}], problems}`."""
    rows: list[Json] = [_named(one) for one in adoption.vms]
    return {"adopted": rows, "problems": list(adoption.problems)}


def _named(one: Shown) -> dict[str, Json]:
    cluster, vmid = one.candidate.place
    named: dict[str, Json] = {"cluster": cluster, "vmid": vmid, "name": one.candidate.name}
    return {**named, "key": one.key or None, "refused": one.refused or None}


def _place(one: Shown) -> str:
    cluster, vmid = one.candidate.place
    return f"{cluster}/{vmid}"


def _unsaid(one: Proposed) -> str:
    return ", ".join(text.partition(":")[0] for text in one.unsaid) or "-"


def _told(vms: Sequence[Shown]) -> int:
    return sum(not one.expected for one in vms)
