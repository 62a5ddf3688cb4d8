"""A call is asked for: checked against the rules and the store before it is queued."""

import re
from collections.abc import Mapping
from datetime import datetime

from desired.source import Fleet
from reconciler.queue.rules import Refused, check_params, rule_of
from state.memory import Binding
from state.queue import QueueJob
from state.store import Store


def asked(
    fleet: Fleet,
    store: Store,
    *,
    cluster: str,
    method: str,
    path: str,
    params: Mapping[str, str],
    key: str,
    at: datetime,
    not_before: datetime | None,
    priority: int,
    max_attempts: int,
    by: str,
) -> QueueJob:
    """Return the job that is to be queued. Raises Refused.

    `{vmid}` in the path or a parameter is the VM's, `{node}` the node that it is on when the call
    is sent. A call on a VM is for one of this fleet's only.
    """
    bindings = store.bindings.all()
    if key and key not in bindings:
        raise Refused(f"{key} has no machine yet")
    if key:
        cluster = cluster or bindings[key].cluster
        vmid = str(bindings[key].vmid)
        path = path.replace("{vmid}", vmid)
        params = {name: value.replace("{vmid}", vmid) for name, value in params.items()}
    if cluster not in fleet.clusters:
        known = ", ".join(sorted(fleet.clusters))
        raise Refused(f"cluster {cluster or '(none)'}: the fleet has {known}")
    path = "/" + path.strip("/").removeprefix("api2/json/")
    rule, parts = rule_of(method, path)
    check_params(path, params)
    vmid = parts.get("vmid") or _dumped(rule.task, params)
    if not vmid and parts["node"] == "{node}":
        raise Refused("{node}: name the node; it is known of a call on a VM only")
    bound = _bound(bindings, cluster, vmid, key) if vmid else None
    return QueueJob(
        id=0,
        key=bound.key if bound else "",
        vmid=bound.vmid if bound else None,
        cluster=cluster,
        node="" if parts["node"] == "{node}" else parts["node"],
        method=method,
        path=path,
        params=dict(params),
        priority=priority,
        max_attempts=max_attempts,
        not_before=max(not_before or at, at),
        by=by,
        added_at=at,
    )


def _dumped(task: str, params: Mapping[str, str]) -> str:
    """The VM that a backup is of."""
    if task != "vzdump":
        return ""
    if not re.fullmatch(r"[1-9][0-9]*", params.get("vmid", "")):
        raise Refused("vmid: expected one VM a job, as in --param vmid=101")
    return params["vmid"]


def _bound(bindings: Mapping[str, Binding], cluster: str, vmid: str, key: str) -> Binding:
    """The VM of this fleet that is meant."""
    if not vmid.isdigit():
        raise Refused("{vmid}: say which VM is meant: --vm KEY")
    for binding in bindings.values():
        if (binding.cluster, binding.vmid) == (cluster, int(vmid)):
            if key and binding.key != key:
                raise Refused(f"vm {vmid} of {cluster} is {binding.key}, not {key}")
            return binding
    raise Refused(f"vm {vmid} of {cluster} is none of this fleet's: see reconcile adopt")
