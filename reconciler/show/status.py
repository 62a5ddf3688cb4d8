"""What `status`, `log` and `why` print: tables, one VM's page, runs with their steps; and JSON."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, tzinfo
from typing import get_args

from reconciler.git import short
from reconciler.pve.preflight import Finding
from reconciler.rebuild import Found
from reconciler.report import Action, Step, StepResult
from reconciler.show.run import step_line
from reconciler.show.text import Paint, count_of, json_when, show_duration, show_when, table
from reconciler.status import VMStatus, totals
from reconciler.why import Explanation, shown
from state.api import Json
from state.journal import Run, StepRecord, VMRun


def render_fleet(vms: Sequence[VMStatus], paint: Paint) -> str:
    """Return one line per VM and a last line with the totals."""
    if not vms:
        return "no VM: neither the fleet nor the database names one"
    rows = [
        (
            vm.key,
            vm.state,
            vm.node or "-",
            "-" if vm.vmid is None else str(vm.vmid),
            ", ".join(vm.addresses) or "-",
            ", ".join(shown(condition) for condition in vm.conditions) or "-",
            vm.next or "-",
        )
        for vm in vms
    ]
    text = table(("VM", "STATE", "NODE", "VMID", "ADDRESSES", "CONDITIONS", "NEXT"), rows, paint)
    head, *lines = text.split("\n")
    tinted = [_tint(vm, paint, line) for vm, line in zip(vms, lines, strict=True)]
    counts = ", ".join(f"{number} {phase}" for phase, number in totals(vms).items())
    return "\n".join([head, *tinted, f"{count_of(len(vms), 'VM')}: {counts}"])


def render_last(run: Run) -> str:
    """Return which run was the last, and of which commit the specs were that it went by."""
    return f"last run {run.id}, {show_when(run.started_at)}: specs at commit {short(run.commit)}"


def _tint(vm: VMStatus, paint: Paint, line: str) -> str:
    if vm.error or "broken" in vm.next:
        return paint.bad(line)
    return line if vm.state == "ready" else paint.warn(line)


def render_vm(vm: VMStatus, fqdn: str | None, paint: Paint, zone: tzinfo | None = None) -> str:
    """Return one VM's page: what it is, where, what stands out and what comes next (LOG-03)."""
    where = f"{vm.node or '-'}/{vm.vmid} in {vm.cluster}" if vm.vmid is not None else "not there"
    lines = [
        ("VM", paint.bold(vm.key)),
        ("name", fqdn or vm.name or "-"),
        ("phase", vm.phase),
        ("state", vm.state),
        ("machine", where),
        ("addresses", ", ".join(vm.addresses) or "-"),
    ]
    lines += [
        ("condition", f"{shown(c)} since {show_when(c.since, zone)}: {c.message or c.reason}")
        for c in vm.conditions
    ]
    lines.append(("next", vm.next or "nothing to do"))
    page = [f"{name.ljust(11)}{text}" for name, text in lines]
    return "\n".join([*_banner(vm, paint, zone), *page])


def _banner(vm: VMStatus, paint: Paint, zone: tzinfo | None) -> list[str]:
    """What failed last stands above all else, until something succeeds (LOG-03)."""
    if vm.failure is None:
        return []
    what, when = vm.failure, show_when(vm.failure.at, zone)
    return [paint.bad(f"!! {what.action} failed at {when}, {what.step}: {what.message}")]


def render_runs(key: str, runs: Sequence[VMRun], paint: Paint, zone: tzinfo | None = None) -> str:
    """Return a VM's runs, the newest first, and the newest one's steps (LOG-01)."""
    if not runs:
        return f"{key}: no run has worked on it yet"
    rows = [
        (
            str(run.run),
            show_when(run.started_at, zone),
            run.action,
            run.result,
            f"{run.state_before or '-'} -> {run.state_after or '-'}",
            _took(run),
        )
        for run in runs
    ]
    head = table(("RUN", "STARTED", "ACTION", "RESULT", "FROM -> TO", "TOOK"), rows, paint)
    return f"{head}\n\n{render_run(runs[0], paint, zone)}"


def render_run(run: VMRun, paint: Paint, zone: tzinfo | None = None) -> str:
    """Return one run of a VM with every step, in the lines of a live run."""
    title = f"run {run.run} of {run.key}, {show_when(run.started_at, zone)}: {run.result}"
    lines = [paint.bold(title)]
    lines += [step_line(_step(run, record), paint) for record in run.steps]
    if run.error:
        lines.append(paint.bad(f"[!] {run.error}"))
    return "\n".join(lines)


def _took(run: VMRun) -> str:
    if run.finished_at is None:
        return "not finished"
    return show_duration((run.finished_at - run.started_at).total_seconds())


def _step(run: VMRun, record: StepRecord) -> Step:
    action: Action = next((known for known in get_args(Action) if known == run.action), "deploy")
    result: StepResult = next((r for r in get_args(StepResult) if r == record.result), "error")
    return Step(
        record.at,
        run.key,
        record.label,
        record.before,
        record.after,
        result,
        record.detail,
        record.seconds,
        action,
    )


def render_why(why: Explanation, paint: Paint) -> str:
    """Return the explanation under its four questions."""
    parts = (
        ("last decision", why.last),
        ("waits for", why.waits),
        ("next try", why.retry),
        ("what you can do", why.advice),
        ("its place", why.place),
    )
    lines = [paint.bold(why.where)]
    for name, texts in parts:
        heads = [name, *[""] * (len(texts) - 1)]
        lines += [f"{head.ljust(17)}{text}" for head, text in zip(heads, texts, strict=False)]
    return "\n".join(lines)


def render_findings(cluster: str, findings: Sequence[Finding], paint: Paint) -> str:
    """Return a cluster's preflight: one line each, and what to do below what is not right."""
    width = max((len(finding.what) for finding in findings), default=0)
    lines = [paint.bold(f"cluster {cluster}")]
    for finding in findings:
        mark = paint.good("ok  ") if finding.ok else paint.bad("BAD ")
        lines.append(f"{mark} {finding.what.ljust(width)}  {finding.message}")
        if finding.advice and not finding.ok:
            lines.append(f"     {' ' * width}  -> {finding.advice}")
    return "\n".join(lines)


def render_found(found: Sequence[Found], paint: Paint) -> str:
    """Return the marked VMs that a rebuild found, each with its addresses or what is wrong."""
    rows = [
        (
            one.key,
            f"{one.cluster}/{one.vmid}",
            ", ".join(lease.address for lease in one.leases) or "-",
            one.problem or "-",
        )
        for one in found
    ]
    return table(("VM", "MACHINE", "ADDRESSES", "PROBLEM"), rows, paint)


def found_json(found: Found) -> dict[str, Json]:
    """Return a marked VM that a rebuild found; `problem` says why it is not taken in."""
    return {
        "vm": found.key,
        "cluster": found.cluster,
        "vmid": found.vmid,
        "addresses": [lease.address for lease in found.leases],
        "problem": found.problem or None,
    }


def as_json(value: object) -> Json:
    """Return a frozen value as JSON: its fields by name, moments in UTC."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return json_when(value)
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
