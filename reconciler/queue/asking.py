"""A call is asked for: checked against the rules and the store before it is queued."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from desired.source import Fleet
from reconciler.queue.rules import Refused, check_params, rule_of
from reconciler.retries import MOST
from state.memory import Binding
from state.queue import QueueJob
from state.store import Store


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for. `cluster` may be empty where `key` names a VM."""

    method: str
    path: str
    params: Mapping[str, str]
    by: str
    at: datetime
    cluster: str = ""
    key: str = ""
    not_before: datetime | None = None
    priority: int = 0
    max_attempts: int = MOST


def asked(fleet: Fleet, store: Store, request: Request) -> QueueJob:
    """Return the job that is to be queued. Raises Refused.

    `{vmid}` in the path or a parameter is the VM's, `{node}` the node that it is on when the call
    is sent. A call on a VM is for one of this fleet's only.
    """
    bindings = store.bindings.all()
    request = _filled(request, bindings)
    if request.cluster not in fleet.clusters:
        known = ", ".join(sorted(fleet.clusters))
        raise Refused(f"cluster {request.cluster or '(none)'}: the fleet has {known}")
    rule, parts = rule_of(request.method, request.path)
    check_params(request.path, request.params)
    vmid, node = parts.get("vmid") or _dumped(rule.task, request.params), parts["node"]
    if not vmid and node == "{node}":
        raise Refused("{node}: name the node; it is known of a call on a VM only")
    bound = _bound(bindings, request.cluster, vmid, request.key) if vmid else None
    return QueueJob(
        id=0,
        key=bound.key if bound else "",
        vmid=bound.vmid if bound else None,
        cluster=request.cluster,
        node="" if node == "{node}" else node,
        method=request.method,
        path=request.path,
        params=dict(request.params),
        priority=request.priority,
        max_attempts=request.max_attempts,
        not_before=max(request.not_before or request.at, request.at),
        by=request.by,
        added_at=request.at,
    )


def _filled(request: Request, bindings: Mapping[str, Binding]) -> Request:
    """The request with its VM's cluster and vmid in it, and its path as the rules have it."""
    path = "/" + request.path.strip("/").removeprefix("api2/json/")
    if not request.key:
        return replace(request, path=path)
    if request.key not in bindings:
        raise Refused(f"{request.key} has no machine yet")
    binding = bindings[request.key]
    vmid = str(binding.vmid)
    return replace(
        request,
        cluster=request.cluster or binding.cluster,
        path=path.replace("{vmid}", vmid),
        params={name: text.replace("{vmid}", vmid) for name, text in request.params.items()},
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
