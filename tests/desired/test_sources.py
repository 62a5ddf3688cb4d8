"""VMs from files, from a database, from both: what is doubled, empty or unreadable is said."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.document import Document
from desired.errors import UnusableSource
from desired.files import FileSource
from desired.record import read_record, unreadable_records
from desired.source import Fleet
from tests.desired.fleets import AT, BASE, lines, write_fleet
from tests.desired.test_laws import FIELDS, VALUES

BOTH = {"fleet.yaml": BASE["fleet.yaml"] + "sources: [files, database]\n"}
STORED = {"fleet.yaml": BASE["fleet.yaml"] + "sources: [database]\n"}


class Kept:
    """Records as a database would answer them, counting how often it is asked."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.found = documents
        self.asked = 0

    def documents(self) -> Sequence[Document]:
        self.asked += 1
        return self.found


def records(**texts: str) -> Kept:
    return Kept([read_record(name, 3, text) for name, text in texts.items()])


def load(folder: Path, files: Mapping[str, str | None], kept: Kept | None) -> Fleet:
    return FileSource(write_fleet(folder, files), b"seed", kept).load({}, AT)


def test_a_stored_spec_is_what_the_same_spec_in_a_file_is(tmp_path: Path) -> None:
    text = '{"package": "small", "count": 2, "name": "n-{{ index }}", "memory": "2GiB"}'
    stored = load(tmp_path / "a", {**STORED, "vms/ok.yaml": None}, records(web=text))
    filed = load(tmp_path / "b", {"vms/ok.yaml": f"web: {text}\n"}, None)
    assert stored.vms == filed.vms
    assert sorted(stored.vms) == ["web/1", "web/2"]
    assert not stored.errors and not stored.incomplete


@given(st.dictionaries(FIELDS, VALUES, max_size=6))
def test_whatever_a_document_says_it_means_the_same_in_either_source(
    entry: dict[str, object],
) -> None:
    text = json.dumps(entry, ensure_ascii=False)
    with TemporaryDirectory() as folder:
        filed = load(Path(folder), {"vms/wild.yaml": f'{{"wild": {text}}}\n'}, None)
        stored = load(Path(folder), {**BOTH, "vms/wild.yaml": "{}\n"}, records(wild=text))
    assert stored.vms == filed.vms
    assert stored.broken == filed.broken
    told = [{(one.field, one.message, one.vm) for one in fleet.errors} for fleet in (filed, stored)]
    assert told[0] == told[1]


def test_both_sources_make_one_fleet(tmp_path: Path) -> None:
    fleet = load(tmp_path, BOTH, records(web='{"memory": "2GiB"}'))
    assert sorted(fleet.vms) == ["ok", "web"]
    assert not fleet.errors and not fleet.incomplete


def test_a_fleet_of_files_asks_no_database(tmp_path: Path) -> None:
    kept = records(web="{}")
    assert sorted(load(tmp_path, {}, kept).vms) == ["ok"]
    assert kept.asked == 0


def test_a_fleet_of_the_database_alone_reads_no_vms_from_files(tmp_path: Path) -> None:
    files = {**STORED, "vms/torn.yaml": "torn: {"}
    fleet = load(tmp_path, files, records(ok='{"memory": "2GiB"}'))
    assert sorted(fleet.vms) == ["ok"]
    assert not fleet.errors and not fleet.incomplete
    assert (
        fleet.revision
        == load(
            tmp_path, {**files, "vms/more.yaml": "m: {}"}, records(ok='{"memory": "2GiB"}')
        ).revision
    )


def test_a_name_in_both_sources_is_an_error_that_names_both_places(tmp_path: Path) -> None:
    fleet = load(tmp_path, {**BOTH, "vms/two.yaml": "two: {}\n"}, records(ok="{}", three="{}"))
    assert lines(fleet.errors, tmp_path) == [
        "db:ok revision 3: ok: defined twice, first at vms/ok.yaml:1:1"
    ]
    assert fleet.broken == {"ok"}
    assert sorted(fleet.vms) == ["three", "two"]
    assert not fleet.incomplete


def test_errors_of_a_stored_spec_name_its_revision_and_field(tmp_path: Path) -> None:
    kept = records(web='{"memory": 10, "cpu": {"coers": 2}}', bad="{", odd="[1]", ok2="{}")
    fleet = load(tmp_path, BOTH, kept)
    assert lines(fleet.errors, tmp_path) == [
        "db:bad revision 3: bad: not valid JSON: Expecting property name enclosed in double quotes:"
        " line 1 column 2 (char 1)",
        "db:odd revision 3: expected a map such as {package: small}, seen a list",
        "db:web revision 3: cpu.coers: unknown key; did you mean cores?",
        "db:web revision 3: memory: expected a size with its unit such as 10GiB, seen 10",
    ]
    assert fleet.broken == {"web", "bad", "odd"}
    assert sorted(fleet.vms) == ["ok", "ok2"]


def test_vms_of_both_sources_are_checked_against_each_other(tmp_path: Path) -> None:
    static = '{"nics": {"net0": {"ipv4": {"static": "10.9.0.7/24"}}}}'
    fleet = load(tmp_path, {**BOTH, "vms/a.yaml": f"a: {static}\n"}, records(b=static))
    assert lines(fleet.errors, tmp_path) == [
        "db:b revision 3: nics.net0.ipv4.static: 10.9.0.7 belongs to a already"
    ]


def test_a_database_that_cannot_be_read_leaves_the_fleet_incomplete(tmp_path: Path) -> None:
    fleet = load(tmp_path, BOTH, Kept([unreadable_records("locked")]))
    assert lines(fleet.errors, tmp_path) == ["db: the specs cannot be read: locked"]
    assert fleet.incomplete and fleet.knows("anything")
    assert sorted(fleet.vms) == ["ok"]


def test_a_database_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match="cannot be read: locked") as error:
        load(tmp_path, STORED, Kept([unreadable_records("locked")]))
    assert "none is stored" not in str(error.value)


def test_files_that_cannot_be_read_leave_the_fleet_incomplete(tmp_path: Path) -> None:
    fleet = load(tmp_path, {**BOTH, "vms/ok.yaml": "- no map\n"}, records(web="{}"))
    assert fleet.incomplete and fleet.errors
    assert sorted(fleet.vms) == ["web"]


def test_a_source_that_holds_nothing_is_an_error_and_nothing_is_removed(tmp_path: Path) -> None:
    no_records = load(tmp_path / "a", BOTH, records())
    assert "db: expected at least one VM; none is stored" in str(no_records.errors[0])
    assert no_records.incomplete and sorted(no_records.vms) == ["ok"]
    no_files = load(tmp_path / "b", {**BOTH, "vms/ok.yaml": None}, records(web="{}"))
    assert "vms:1:1: expected at least one VM; none is defined" in str(no_files.errors[0])
    assert no_files.incomplete and sorted(no_files.vms) == ["web"]


@pytest.mark.parametrize("head", [BOTH, STORED])
def test_no_vm_in_any_source_is_unusable(tmp_path: Path, head: Mapping[str, str]) -> None:
    with pytest.raises(UnusableSource, match="none is stored"):
        load(tmp_path, {**head, "vms/ok.yaml": None}, records())


def test_a_database_that_was_not_given_leaves_the_fleet_incomplete(tmp_path: Path) -> None:
    fleet = load(tmp_path, BOTH, None)
    assert fleet.incomplete and not fleet.errors


def test_the_revision_is_that_of_both_sources(tmp_path: Path) -> None:
    first = load(tmp_path, BOTH, records(web="{}")).revision
    assert load(tmp_path, BOTH, records(web="{}")).revision == first
    assert load(tmp_path, BOTH, records(web='{"count": 1}')).revision != first
    newer = Kept([read_record("web", 4, "{}")])
    assert load(tmp_path, BOTH, newer).revision != first
    other = {**BOTH, "vms/ok.yaml": "ok: {}\n"}
    assert load(tmp_path, other, records(web="{}")).revision != first


@pytest.mark.parametrize(
    "line",
    [
        "sources: []",
        "sources: [files, files]",
        "sources: database",
        "sources: [postgres]",
        "source: [database]",
        "git: {require_sign: true}",
        "git: {require_signed: 'yes'}",
        "gitt: {require_signed: true}",
    ],
)
def test_sources_and_git_are_never_left_out_for_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(UnusableSource, match=r"fleet\.yaml:7:"):
        load(tmp_path, {"fleet.yaml": f"{BASE['fleet.yaml']}{line}\n"}, None)
