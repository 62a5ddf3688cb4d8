"""`reconcile spec` as a person meets it."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.cli.errors import status_and_words

HEAD = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: t}
templates: {t: {lab: [9000]}}
"""


class Hand:
    """A person at a fleet whose VMs stand in the database."""

    def __init__(self, folder: Path) -> None:
        self.fleet, self.database = folder / "fleet", folder / "lab.db"
        (self.fleet / "packages").mkdir(parents=True)
        (self.fleet / "packages" / "small.yaml").write_text("small: {memory: 1GiB}\n")
        self.head("sources: [database]\n")

    def head(self, more: str) -> None:
        (self.fleet / "fleet.yaml").write_text(HEAD + more)

    def result(self, *words: str, text: str | None = None) -> Result:
        options = ["--fleet", str(self.fleet), "--database", str(self.database), "spec"]
        return CliRunner().invoke(cli, [*options, *words], input=text)

    def says(self, *words: str, text: str | None = None, status: int = 0) -> str:
        """What the command prints when it ends as it should."""
        result = self.result(*words, text=text)
        assert result.exit_code == status, result.output
        return result.output.rstrip("\n")

    def error(self, *words: str, text: str | None = None) -> str:
        """What the command says that it would not do."""
        result = self.result(*words, text=text)
        if isinstance(result.exception, Exception):
            told = status_and_words(result.exception)
            assert told is not None and told[0] == 1, result.exception
            return told[1]
        assert result.exit_code == 1, result.output
        return result.output


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    return Hand(tmp_path)


def test_a_document_is_put_and_got_and_each_edit_is_a_revision(hand: Hand, tmp_path: Path) -> None:
    assert hand.says("put", "web-1", text="{package: small, count: 2}") == "web-1: revision 1"
    file = tmp_path / "web-1.yaml"
    file.write_text("# of ann\npackage: small\nmemory: 2GiB\n")
    put = ("put", "web-1", str(file), "--author", "ann")
    assert hand.says(*put, "--if-revision", "1") == "web-1: revision 2"
    assert hand.says(*put) == "web-1: revision 2 stands already"
    assert hand.says("get", "web-1") == "package: small\nmemory: 2GiB"
    first = json.loads(hand.says("get", "web-1", "--revision", "1", "--output", "json"))
    assert first == {"package": "small", "count": 2}
    told = hand.says("history", "web-1").splitlines()
    assert [line.split()[0] for line in told] == ["REVISION", "2", "1"]
    assert " ann " in told[1]
    assert hand.says("list").splitlines()[1].split()[:2] == ["web-1", "2"]
    (row,) = json.loads(hand.says("list", "--output", "json"))["specs"]
    assert (row["name"], row["revision"], row["author"]) == ("web-1", 2, "ann")
    assert row["document"] == {"package": "small", "memory": "2GiB"}


def test_the_author_is_the_person_at_the_keyboard(hand: Hand) -> None:
    hand.says("put", "web-1", text="{}")
    (row,) = json.loads(hand.says("history", "web-1", "--output", "json"))["revisions"]
    assert "@" in row["author"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{memory: 10}", "db:web-1 revision 1: memory: expected a size"),
        ("{package: smal}", "db:web-1 revision 1: package: unknown package 'smal'; did you mean"),
        ("memory: 1GiB\nmemory: 2GiB\n", "standard input:2:1: memory: duplicate key"),
        ("- a\n", "standard input:1:1: expected a map"),
        ("a: [\n", "standard input:2:1: not valid YAML"),
        ("", "standard input:1:1: expected a document such as {package: small}"),
        (".memory: 1GiB\n", "standard input:1:1: .memory: unknown key"),
    ],
)
def test_what_the_fleet_would_not_take_is_not_stored(hand: Hand, text: str, words: str) -> None:
    told = hand.error("put", "web-1", text=text)
    assert words in told
    assert told.endswith("\nnothing was stored")
    assert hand.says("list") == "no spec stored"


def test_a_name_that_no_vm_may_have_is_not_stored(hand: Hand) -> None:
    assert "db:../x revision 1: ../x: expected a name" in hand.error("put", "../x", text="{}")


def test_bytes_that_are_no_text_are_not_stored(hand: Hand, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"description: \xe9\n")
    assert "latin:1:1: expected UTF-8 text" in hand.error("put", "a", str(tmp_path / "latin"))


def test_an_edit_of_what_is_out_of_date_is_refused(hand: Hand) -> None:
    hand.says("put", "web-1", "--author", "bob", text="{}")
    told = hand.error("put", "web-1", "--if-revision", "0", text="{package: small}")
    assert told == (
        "database: spec web-1: none expected, revision 1 by bob stands; read it again and edit that"
    )
    assert "revision 7 expected" in hand.error("delete", "web-1", "--if-revision", "7")


def test_a_delete_is_a_revision_and_what_stood_can_be_read(hand: Hand) -> None:
    hand.says("put", "web-1", text="{package: small}")
    assert hand.says("delete", "web-1", "--author", "cy") == "web-1: deleted as revision 2"
    told = hand.error("get", "web-1")
    assert "was deleted by cy as revision 2; `reconcile spec get web-1 --revision 1`" in told
    assert "was deleted by cy as revision 2" in hand.error("get", "web-1", "--revision", "2")
    assert "no revision 9; the newest is 2" in hand.error("get", "web-1", "--revision", "9")
    assert hand.says("get", "web-1", "--revision", "1") == "package: small"
    assert "deleted" in hand.says("history", "web-1").splitlines()[1]
    assert hand.says("put", "web-1", text="{}") == "web-1: revision 3"


def test_a_name_that_is_not_there_brings_a_near_one(hand: Hand) -> None:
    hand.says("put", "web-1", text="{}")
    for words in (("get", "web1"), ("history", "web1"), ("delete", "web1"), ("diff", "web1")):
        assert "no spec web1 in the database; did you mean web-1?" in hand.error(*words)
    assert hand.error("get", "zzz").endswith("no spec zzz in the database\n")


def test_a_diff_shows_the_last_edit_or_any_two_revisions(hand: Hand) -> None:
    for text in ("{package: small}", "{package: small, cpu: {cores: 2}}", "{cpu: {cores: 4}}"):
        hand.says("put", "web-1", text=text)
    assert hand.says("diff", "web-1", status=2).splitlines() == [
        "--- web-1 revision 2",
        "+++ web-1 revision 3",
        "@@ -1,3 +1,2 @@",
        "-package: small",
        " cpu:",
        "-  cores: 2",
        "+  cores: 4",
    ]
    (row,) = json.loads(
        hand.says("diff", "web-1", "--from", "1", "--to", "2", "--output", "json", status=2)
    )["differences"]
    assert row["fields"] == [{"field": "cpu", "old": None, "new": {"cores": 2}}]
    (row,) = json.loads(hand.says("diff", "web-1", "--output", "json", status=2))["differences"]
    assert row["fields"] == [
        {"field": "package", "old": "small", "new": None},
        {"field": "cpu.cores", "old": 2, "new": 4},
    ]
    first = hand.says("diff", "web-1", "--to", "1", status=2)
    assert first.splitlines()[0] == "--- web-1 nothing"
    assert "no revision 9" in hand.error("diff", "web-1", "--to", "9")
    assert hand.says("diff", "web-1", "--from", "2", "--to", "2") == ""
    assert hand.result("diff").exit_code == 2
    assert "name a VM" in hand.result("diff", "--against", ".", "--to", "2").output


def test_an_export_and_an_import_bring_back_the_same(hand: Hand, tmp_path: Path) -> None:
    hand.says("put", "web-1", text='{package: small, description: "no", tags: ["010", "1.5"]}')
    hand.says("put", "web-2", text="{count: 3}")
    out = tmp_path / "out"
    dry = hand.says("export", str(out), "--dry-run")
    assert dry.endswith("2 files would be written, 0 unchanged")
    assert not out.exists()
    assert hand.says("export", str(out)).splitlines() == [
        f"+ {out}/vms/web-1.yaml",
        f"+ {out}/vms/web-2.yaml",
        "2 files written, 0 unchanged",
    ]
    (out / "vms" / "web-2.yaml").write_text("# a remark\nweb-2: {count: 3}\n")
    assert hand.says("export", str(out)) == "0 files written, 2 unchanged"
    assert hand.says("import", str(out)) == "0 specs stored, 2 unchanged"
    assert hand.says("diff", "--against", str(out)) == ""
    for name in ("web-1", "web-2"):
        hand.says("delete", name)
    assert hand.says("import", str(out)).splitlines() == [
        "+ web-1",
        "+ web-2",
        "2 specs stored, 0 unchanged",
    ]
    assert hand.says("diff", "--against", str(out)) == ""


def test_an_export_replaces_only_what_it_is_told_to(hand: Hand, tmp_path: Path) -> None:
    hand.says("put", "web-1", text="{count: 3}")
    hand.says("put", "web-2", text="{}")
    file = tmp_path / "vms" / "web-1.yaml"
    file.parent.mkdir()
    file.write_text("web-1: {count: 4}\n")
    assert f"nothing was written (--overwrite replaces them):\n  {file}" in hand.error(
        "export", str(tmp_path)
    )
    assert not (file.parent / "web-2.yaml").exists()
    assert hand.says("export", str(tmp_path), "--overwrite").splitlines()[0] == f"~ {file}"
    assert yaml.safe_load(file.read_text()) == {"web-1": {"count": 3}}


def test_an_import_stores_all_or_nothing_and_names_the_files(hand: Hand, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.yaml").write_text("a: {package: small}\nb: {memory: 1}\n")
    told = hand.error("import", str(folder))
    assert f"{folder}/a.yaml:2:13: memory: expected a size" in told
    assert hand.says("list") == "no spec stored"
    (folder / "a.yaml").write_text("a: {package: small}\na: {}\nb: []\n")
    told = hand.error("import", str(folder), "--dry-run")
    assert f"{folder}/a.yaml:2:1: a: duplicate key" in told
    assert f"{folder}/a.yaml:3:1: b: expected a map" in told
    assert "expected a folder of YAML files" in hand.error("import", str(tmp_path / "nowhere"))


def test_a_dry_import_checks_and_stores_nothing(hand: Hand, tmp_path: Path) -> None:
    hand.says("put", "b", text="{}")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.yml").write_text("a: {package: small}\nb: {count: 2}\n")
    before = hand.database.read_bytes()
    assert hand.says("import", str(tmp_path / "in"), "--dry-run").splitlines() == [
        "+ a",
        "~ b",
        "2 specs would be stored, 0 unchanged",
    ]
    assert hand.database.read_bytes() == before
    told = hand.says("diff", "--against", str(tmp_path / "in"), status=2)
    assert "--- a not stored\n+++ a in files" in told
    assert "--- b revision 1\n+++ b in files" in told
    assert hand.says("diff", "b", "--against", str(tmp_path / "in"), status=2).startswith("--- b")


def test_a_fleet_of_files_is_moved_into_the_database(hand: Hand) -> None:
    hand.head("")
    (hand.fleet / "vms").mkdir()
    (hand.fleet / "vms" / "web.yaml").write_text("web-1: {package: small}\nweb-2: {}\n")
    told = hand.says("import", str(hand.fleet))
    assert "2 specs stored" in told
    assert "no run reads this" in told
    hand.head("sources: [files, database]\n")
    assert "web-3: revision 1" in hand.says("put", "web-3", text="{}")
    told = hand.error("put", "web-1", text="{count: 2}")
    assert "db:web-1 revision 2: web-1: defined twice, first at" in told
    hand.head("sources: [database]\n")
    assert hand.says("put", "web-1", text="{count: 2}") == "web-1: revision 2"


def test_a_name_that_stands_in_a_file_is_not_stored(hand: Hand) -> None:
    hand.head("sources: [files, database]\n")
    (hand.fleet / "vms").mkdir()
    (hand.fleet / "vms" / "web.yaml").write_text("web-1: {}\n")
    told = hand.error("put", "web-1", text="{}")
    assert f"db:web-1 revision 1: web-1: defined twice, first at {hand.fleet}/vms/web.yaml:1:1" in (
        told
    )


def test_an_error_that_stands_already_keeps_nobody_from_storing_something_sound(
    hand: Hand,
) -> None:
    hand.says("put", "web-1", text="{package: small}")
    (hand.fleet / "packages" / "small.yaml").write_text("small: {memory: wrong}\n")
    assert hand.says("put", "web-2", text="{}") == "web-2: revision 1"
    told = hand.error("put", "web-1", text="{package: small, count: 2}")
    assert "small.yaml:1:17: memory: expected a size" in told


def test_two_vms_that_cannot_both_be_are_not_stored_together(hand: Hand, tmp_path: Path) -> None:
    static = "{nics: {net0: {ipv4: {static: 10.9.0.7/24}}}}"
    hand.says("put", "a", text=static)
    assert "10.9.0.7 belongs to a already" in hand.error("put", "b", text=static)


def test_a_document_that_somebody_broke_by_hand_is_told(hand: Hand) -> None:
    import sqlite3

    hand.says("put", "web-1", text="{}")
    with sqlite3.connect(hand.database) as link:
        link.execute("UPDATE desired_vm SET document_json = '['")
    link.close()
    assert "db:web-1 revision 1: web-1: not valid JSON" in hand.error("get", "web-1")
    with sqlite3.connect(hand.database) as link:
        link.execute("UPDATE desired_vm SET document_json = '[]'")
    link.close()
    assert "db:web-1 revision 1: expected a map" in hand.error("get", "web-1")
    with sqlite3.connect(hand.database) as link:
        link.execute("UPDATE desired_vm SET name = '../x', document_json = '{}'")
    link.close()
    assert "'../x' is no name for a file" in hand.error("export", str(hand.fleet))


def test_edits_answer_in_json_too(hand: Hand, tmp_path: Path) -> None:
    (row,) = json.loads(hand.says("put", "b", "--output", "json", text="{count: 2}"))["specs"]
    assert (row["name"], row["revision"], row["document"]) == ("b", 1, {"count": 2})
    out = ("export", str(tmp_path / "out"), "--output", "json")
    path = str(tmp_path / "out" / "vms" / "b.yaml")
    assert json.loads(hand.says(*out, "--dry-run"))["written"] == {path: "+"}
    assert json.loads(hand.says(*out))["written"] == {path: "+"}
    assert json.loads(hand.says(*out))["written"] == {path: "="}
    (tmp_path / "out" / "vms" / "a.yaml").write_text("a: {}\n")
    taken = hand.says("import", str(tmp_path / "out"), "--output", "json")
    assert json.loads(taken)["stored"] == {"a": "+", "b": "="}
    (row,) = json.loads(hand.says("delete", "b", "--output", "json"))["specs"]
    assert (row["revision"], row["document"]) == (2, None)


@pytest.mark.parametrize(
    "name", ["get", "put", "list", "delete", "history", "diff", "export", "import"]
)
def test_every_part_explains_itself_with_examples(name: str) -> None:
    result = CliRunner().invoke(cli, ["spec", name, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output
