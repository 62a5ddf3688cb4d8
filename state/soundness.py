"""Whether a store's database is whole: its file, its shape, its references, its rows, its key."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, Connection, Table, and_, func, inspect, not_, select

from state.copying import count_of
from state.database import Database, StoreError
from state.place import Place
from state.revision import REVISIONS, revision_of, unsorted_columns
from state.store import Store
from state.tables import metadata

INVALID = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid
UNION ALL
SELECT conname FROM pg_constraint
WHERE connamespace = current_schema()::regnamespace AND NOT convalidated
"""
RESTORE = "restore a backup"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined: what, whether it is as it should be, and in words."""

    what: str
    ok: bool
    text: str


def examine(place: Place, at: datetime) -> list[Finding]:
    """Examines the store at a place and changes nothing; raises StoreError when it has none."""
    if place.file and not place.file.exists():
        raise StoreError(f"{place}: there is no store yet")
    database = Database.readonly_at(place)
    try:
        revision = revision_of(database)
        if revision is None:
            raise StoreError(f"{place}: there is no store yet")
        if revision != REVISIONS[-1]:
            advice = "reconcile db migrate brings it up to date"
            text = f"{revision or 'none'}, this reconcile has {REVISIONS[-1]}; {advice}"
            return [Finding("revision", False, text), _found("storage", _storage, database)]
        return [
            Finding("revision", True, revision),
            _found("storage", _storage, database),
            _found("shape", _shape, database),
            _found("references", _references, database),
            _found("rows", _rows, database),
            _key(place, at),
        ]
    finally:
        database.close()


def _found(
    what: str, look: Callable[[Connection], tuple[list[str], str]], database: Database
) -> Finding:
    """What a look at the database comes to: `look` answers the trouble, and words for none."""
    try:
        with database.reading(f"check {what}") as link:
            wrong, fine = look(link)
    except StoreError as error:
        return Finding(what, False, str(error))
    return Finding(what, not wrong, "; ".join(wrong) or fine)


def _storage(link: Connection) -> tuple[list[str], str]:
    if link.dialect.name == "postgresql":
        names = [str(name) for name in link.exec_driver_sql(INVALID).scalars()]
        return [f"{name} is not valid: REINDEX it or validate it" for name in names], "sound"
    said = [str(line) for line in link.exec_driver_sql("PRAGMA integrity_check").scalars()]
    return ([] if said == ["ok"] else [*said[:5], RESTORE]), "sound"


def _shape(link: Connection) -> tuple[list[str], str]:
    """What differs from the tables of this program, constraints and sort order included."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(link, opts={"include_object": _is_ours})
    wrong = [_words(one) for one in compare_metadata(context, metadata)]
    for table in metadata.sorted_tables:
        wrong += [f"{table.name}: constraint {name} is missing" for name in _missing(link, table)]
    if link.dialect.name == "postgresql":
        wrong += [f"{table}.{name}: sorted by language" for table, name in unsorted_columns(link)]
    return wrong, f"as its {len(metadata.tables)} tables should be"


def _is_ours(_item: object, name: str | None, kind: str, reflected: bool, against: object) -> bool:
    """Tables that somebody keeps beside ours are none of our business."""
    return not (kind == "table" and reflected and against is None and name not in metadata.tables)


def _missing(link: Connection, table: Table) -> list[str]:
    there = {str(one["name"]) for one in inspect(link).get_check_constraints(table.name)}
    checks = [one for one in table.constraints if isinstance(one, CheckConstraint)]
    named = {link.dialect.identifier_preparer.format_constraint(one) for one in checks}
    return sorted(str(name) for name in named - there)


def _words(difference: object) -> str:
    """One difference that alembic found: `missing: index effects ix_effects_effect_at`."""
    if isinstance(difference, list):
        return "; ".join(_words(one) for one in difference)
    assert isinstance(difference, tuple)
    kind, *rest = difference
    verb, _, what = str(kind).partition("_")
    names = [str(table.name) for one in rest if (table := getattr(one, "table", None)) is not None]
    names += [str(getattr(one, "name", one)) for one in rest if not isinstance(one, dict | None)]
    said = {"add": "missing", "remove": "unexpected"}.get(verb, "different")
    return f"{said}: {what} {' '.join(dict.fromkeys(names))}"


def _references(link: Connection) -> tuple[list[str], str]:
    """Rows that refer to a row which is not there."""
    wrong, seen = [], 0
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_key_constraints, key=lambda one: str(one.name)):
            seen += 1
            other = key.referred_table.alias()
            pairs = [(one.parent, other.c[one.column.name]) for one in key.elements]
            there = select(other).where(and_(*(mine == theirs for mine, theirs in pairs))).exists()
            given = [mine.is_not(None) for mine, _theirs in pairs]
            lost = select(func.count()).select_from(table).where(*given, not_(there))
            count = link.execute(lost).scalar_one()
            if count:
                wrong.append(f"{count} rows of {table.name} refer to no {key.referred_table.name}")
    return wrong, f"{seen} kinds, none broken"


def _rows(link: Connection) -> tuple[list[str], str]:
    """Read every value of every row, as this program reads it."""
    rows, wrong = 0, []
    for table in metadata.sorted_tables:
        try:
            rows += count_of(link, table).rows
        except (ValueError, LookupError) as error:
            wrong.append(f"{table.name}: a row cannot be read ({error}); {RESTORE}")
    return wrong, f"{rows}, all readable"


def _key(place: Place, at: datetime) -> Finding:
    """The key is this store's, and every sealed secret opens with it."""
    wrong, opened = [], 0
    try:
        with Store.preview(place, at=at) as store:
            for key, uses in store.vault.secrets().items():
                for use in sorted(uses):
                    try:
                        store.vault.reveal(key, use)
                        opened += 1
                    except StoreError as error:
                        wrong.append(str(error))
    except StoreError as error:
        wrong.append(str(error))
    return Finding("key", not wrong, "; ".join(wrong) or f"{place.key}, {opened} secrets open")
