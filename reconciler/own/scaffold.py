"""What `reconcile job new` writes: code, metadata and a test that passes."""

from pathlib import Path
from string import Template

JOB = Template('''\
"""$name: say here what it does."""

from reconciler.own.job import Job, Result


def run(job: Job) -> Result:
    """Count the VMs of a phase."""
    found = [vm for vm in job.vms() if vm["phase"] == job.config["phase"]]
    return Result(message=f"{len(found)} VMs are {job.config['phase']}", processed=len(found))


def preview(job: Job) -> Result:
    """What a run would do; here a run has no effect, so it is the same."""
    return run(job)
''')

JOB_METADATA = Template("""\
name: $title
description: say in a line what it does
default_frequency: daily          # every_run, hourly, daily, weekly; or interval: SECONDS
default_time: "02:30"
config_fields:
  phase: {type: text, label: count the VMs of this phase, default: ready}
""")

JOB_TEST = Template('''\
"""The job $name, without a cluster and without a store."""

from $name import preview, run
from reconciler.testing import job_of

VMS = [{"key": "web-1", "phase": "ready"}, {"key": "web-2", "phase": "deploy"}]


def test_it_counts_the_vms_of_a_phase() -> None:
    result = run(job_of({"phase": "ready"}, vms=VMS))
    assert (result.status, result.processed) == ("success", 1)


def test_its_preview_says_the_same() -> None:
    assert preview(job_of({"phase": "deploy"}, vms=VMS, dry=True)).message == "1 VMs are deploy"
''')

HANDLER = Template('''\
"""$name: has VMs use the keyboard that their spec says under `extensions: {$name: de}`."""

from collections.abc import Iterator

from desired.spec import VMSpec
from handlers.handler import config_call
from state.change import Change, Note
from state.observed import SeenVM

FIELD = "keyboard"


class Handler:
    """Yields what differs; pure: no clock, no file, no connection."""

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterator[Change | Note]:
        wanted = spec.extensions.get("$name")
        if wanted is None or seen.config is None:
            return
        live = seen.config.wanted.text(FIELD)
        if live != wanted:
            call = config_call(seen, {FIELD: str(wanted)})
            yield Change(seen.key, "$name", FIELD, live, str(wanted), (call,))
''')

HANDLER_METADATA = Template("""\
name: $title
description: say in a line what it does
handler: true
default_frequency: hourly
""")

HANDLER_TEST = Template('''\
"""The handler $name keeps the laws of a handler."""

from $name import Handler
from reconciler.testing import check_laws, seen_of, spec_of


def test_it_keeps_the_laws() -> None:
    wanted = spec_of(extensions={"$name": "de"})
    check_laws(
        Handler(),
        [(wanted, seen_of()), (wanted, seen_of({"keyboard": "de"})), (spec_of(), seen_of())],
    )
''')


def scaffold(folder: Path, name: str, *, handler: bool) -> list[Path]:
    """Write a job's files; FileExistsError where one is there. Returns them."""
    code, said, test = (
        (HANDLER, HANDLER_METADATA, HANDLER_TEST) if handler else (JOB, JOB_METADATA, JOB_TEST)
    )
    title = name.replace("_", " ").capitalize()
    texts = {f"{name}.py": code, f"{name}.yaml": said, f"test_{name}.py": test}
    paths = [folder / file for file in texts]
    for path in (*paths, folder / f"{name}.yml", folder / f"{name}.json"):
        if path.exists():
            raise FileExistsError(f"{path} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text.substitute(name=name, title=title))
    return paths
