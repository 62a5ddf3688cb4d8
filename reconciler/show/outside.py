"""Drift as text, JSON and markdown, and a spec patch as YAML."""

from collections.abc import Mapping

import yaml

from reconciler.express.patch import Patch
from reconciler.outside import Outside, Survey
from reconciler.show.markdown import code
from reconciler.show.text import Paint, count_of, json_when, show_change, show_when, table
from state.api import Json
from state.change import Change
from state.outbox import Event

WHAT = {"enforce": "put back by the next run", "alert": "left, told of", "ignore": "left"}


def render_survey(survey: Survey, paint: Paint) -> str:
    """One line a field, then what could not be looked at, then a count."""
    lines = []
    if survey.vms:
        head = ("VM", "FIELD", "WANTED -> LIVE", "BY", "POLICY")
        lines = [table(head, [_row(vm, one) for vm in survey.vms for one in vm.changes], paint)]
    lines += [paint.bad(f"? {key}: {why}") for key, why in sorted(survey.unknown.items())]
    lines += [paint.bad(f"! {problem}") for problem in survey.problems]
    fields = sum(len(vm.changes) for vm in survey.vms)
    of = f"{len(survey.vms)} of {count_of(survey.looked, 'VM')}"
    lines.append(paint.bold(f"Drift: {count_of(fields, 'field')} of {of}."))
    return "\n".join(lines)


def _row(vm: Outside, change: Change) -> tuple[str, str, str, str, str]:
    field, moved = _moved(change)
    policy = vm.policy(change)
    return vm.key, field, moved, change.drift, f"{policy} ({WHAT[policy]}, {change.effect})"


def _moved(change: Change) -> tuple[str, str]:
    """The field, and `wanted -> live`: the other way round than the change that puts it back."""
    field, moved = show_change(change)
    live, _, wanted = moved.partition(" -> ")
    return field, f"{wanted} -> {live}"


def survey_json(survey: Survey) -> dict[str, Json]:
    """`{at, drift: [{vm, handler, field, wanted, live, by, policy, effect}], unknown}`."""
    rows: list[Json] = []
    for vm in survey.vms:
        for change in vm.changes:
            field, moved = _moved(change)
            wanted, _, live = moved.partition(" -> ")
            named: dict[str, Json] = {"vm": vm.key, "handler": change.handler, "field": field}
            values: dict[str, Json] = {"wanted": wanted, "live": live, "by": change.drift}
            rule: dict[str, Json] = {"policy": vm.policy(change), "effect": str(change.effect)}
            rows.append({**named, **values, **rule})
    unknown: dict[str, Json] = dict(sorted(survey.unknown.items()))
    return {"at": json_when(survey.at), "drift": rows, "unknown": unknown}


def render_markdown(survey: Survey) -> str:
    """A table for a merge request or a ticket."""
    lines = ["| VM | field | wanted | live | by | policy |", "|" + " --- |" * 6]
    for vm in survey.vms:
        for change in vm.changes:
            field, moved = _moved(change)
            wanted, _, live = moved.partition(" -> ")
            cells = (vm.key, field, wanted, live, change.drift, vm.policy(change))
            lines.append(f"| {' | '.join(map(code, cells))} |")
    return "\n".join(lines if survey.vms else ["No drift."])


def render_history(events: tuple[Event, ...]) -> str:
    """One line an event, the newest last."""
    told = ((show_when(one.at), one.key, str(one.detail.get("text", ""))) for one in events)
    return "\n".join(f"{at}  {key}  {text}" for at, key, text in told)


def render_patch(vm: Outside, patch: Patch, file: str) -> str:
    """The patch as YAML to lay over the VM's entry, and what cannot be said."""
    lines = [f"# {one}: {why}" for one, why in sorted(patch.left_out.items())]
    if patch.values:
        text = yaml.safe_dump({vm.key: patch.tree}, sort_keys=False, allow_unicode=True)
        group = " (all of its group get it)" if "/" in vm.key else ""
        lines = [f"# lay this over {vm.key} in {file}{group}", text.rstrip(), *lines]
    return "\n".join(lines)


def patch_json(vm: Outside, patch: Patch, file: str) -> Mapping[str, object]:
    return {"vm": vm.key, "file": file, "patch": patch.tree, "left_out": dict(patch.left_out)}
