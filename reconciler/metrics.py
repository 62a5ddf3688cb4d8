"""Figures for Prometheus, as a file that the node exporter's textfile collector reads."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import VERSION
from reconciler.config import Opened
from reconciler.lamp import lamp, look_over
from reconciler.vitals import Vitals, read_vitals

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Values = Mapping[tuple[str, ...], float]
"""A metric's values by those of its labels, but for the fleet's."""

STATUSES = ("success", "skipped", "error", "running", "never", "orphaned", "broken", "suspended")


def write_metrics(opened: Opened, at: datetime) -> str:
    """Write the file that `metrics: textfile` names, whole or not at all; say what kept it from it.

    A file that cannot be written is no failure of the run.
    """
    named = opened.fleet.metrics.textfile
    if named is None:
        return ""
    from prometheus_client import CollectorRegistry, write_to_textfile  # 50 ms of a start

    path = Path(opened.fleet.folder) / named
    registry = CollectorRegistry()
    registry.register(Figures(opened.fleet.name, read_vitals(opened, at)))
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        return (
            f"metrics: textfile: {path}: {error.strerror or error}; expected a file in a folder"
            " that this user may write to; nothing was written"
        )
    return ""


class Figures:
    """A reading as metrics, as prometheus_client collects them; `fleet` is a label of each."""

    def __init__(self, fleet: str, vitals: Vitals) -> None:
        self._fleet = fleet
        self._vitals = vitals

    def collect(self) -> Iterator["Metric"]:
        """Return every metric; names and units follow Prometheus' conventions."""
        yield self._info()
        yield from self._runs()
        yield from self._jobs()
        yield from self._counts()

    def _info(self) -> "Metric":
        what = "The version that wrote this file, as a label."
        return self._gauge("build_info", what, ("version",), {(VERSION,): 1})

    def _runs(self) -> Iterator["Metric"]:
        from prometheus_client.core import CounterMetricFamily

        vitals, run = self._vitals, self._vitals.run
        beat = vitals.beat.timestamp() if vitals.beat else 0.0
        yield self._one("heartbeat_timestamp_seconds", "When a run was begun last.", beat)
        checks = look_over(vitals, "")
        healthy = float(lamp(checks) == "green")
        yield self._one("healthy", "1 while `reconcile health` is green.", healthy)
        runs = CounterMetricFamily(
            "reconcile_runs", "Runs of process_vms since the store was made.", labels=("fleet",)
        )
        runs.add_metric((self._fleet,), vitals.runs)
        yield runs
        if run is None:
            return
        assert run.finished_at is not None
        took = (run.finished_at - run.started_at).total_seconds()
        yield self._one("run_duration_seconds", "How long the last run took.", took)
        results: Values = {(name,): vitals.count(name) for name in ("ready", "waiting", "failed")}
        yield self._gauge("vms", "VMs by the last run's result.", ("result",), results)
        yield self._one("vms_changed", "VMs that the last run wrote to.", vitals.count("changed"))
        calls: Values = {("read",): vitals.count("reads"), ("write",): vitals.count("writes")}
        yield self._gauge("run_api_calls", "API calls of the last run.", ("kind",), calls)

    def _jobs(self) -> Iterator["Metric"]:
        loops = self._vitals.loops
        last: Values = {(one.name,): one.last_run.timestamp() for one in loops if one.last_run}
        yield self._gauge("job_last_run_timestamp_seconds", "When a job ran last.", ("job",), last)
        due: Values = {(one.name,): one.next_run.timestamp() for one in loops if one.next_run}
        yield self._gauge("job_next_run_timestamp_seconds", "When a job is due.", ("job",), due)
        status: Values = {
            (one.name, word): int(one.status == word) for one in loops for word in STATUSES
        }
        what = "1 for how a job's last run ended."
        yield self._gauge("job_status", what, ("job", "status"), status)
        errors: Values = {(one.name,): one.errors for one in loops}
        yield self._gauge("job_errors", "Errors in a job's last run.", ("job",), errors)

    def _counts(self) -> Iterator["Metric"]:
        vitals = self._vitals
        up: Values = {
            (name,): int(not said) for name, said in vitals.clusters.items() if said is not None
        }
        what = "1 if the last run that worked on a cluster could."
        yield self._gauge("cluster_up", what, ("cluster",), up)
        what = "VMs of which a condition is true, drift among them."
        yield self._gauge("conditions", what, ("condition",), _single(vitals.conditions))
        what = "Jobs in the queue."
        yield self._gauge("queue_jobs", what, ("status",), _single(vitals.queue))
        what = "DNS records that are ours."
        yield self._gauge("dns_records", what, ("zone",), _single(vitals.records))
        failed = vitals.count("forward_err") + vitals.count("rev_err")
        yield self._one("dns_records_failed", "DNS records the last run could not write.", failed)
        left = sum(one.left_behind for one in vitals.locks)
        yield self._one("locks_left_behind", "Locks whose holder gives no sign of life.", left)
        yield self._one("specs_broken", "VMs with broken specs.", vitals.broken)

    def _one(self, name: str, what: str, value: float) -> "Metric":
        return self._gauge(name, what, (), {(): value})

    def _gauge(
        self,
        name: str,
        what: str,
        labels: Iterable[str],
        values: Values,
    ) -> "Metric":
        from prometheus_client.core import GaugeMetricFamily

        found = GaugeMetricFamily(f"reconcile_{name}", what, labels=("fleet", *labels))
        for words, value in sorted(values.items()):
            found.add_metric((self._fleet, *words), value)
        return found


def _single(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): float(count) for name, count in counts.items()}
