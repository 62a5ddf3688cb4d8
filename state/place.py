"""Where a store is: a SQLite file or a PostgreSQL database, and the file with its key."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SERVERS = ("postgresql", "postgresql+psycopg", "postgres")
DRIVER = "postgresql+psycopg"
EXPECTED = (
    "database: a path, `sqlite:////folder/file.db` or `postgresql://user@host/name` expected, seen "
)


class WrongPlace(ValueError):
    """The text names no place for a store; no password is in the message."""


@dataclass(frozen=True, slots=True)
class Place:
    """A store's database and its key file. As text it has no password."""

    url: URL
    key: Path

    @property
    def file(self) -> Path | None:
        """The SQLite file; None of a server's database."""
        named = self.url.database
        return Path(named) if self.url.drivername == "sqlite" and named else None

    @property
    def beside(self) -> Path:
        """The file of this machine beside which others of the same fleet are kept."""
        return self.file or self.key

    def __str__(self) -> str:
        if self.file:
            return str(self.file)
        plain = self.url.set(drivername="postgresql", query={})
        return URL.create(
            plain.drivername,
            username=plain.username,
            host=plain.host,
            port=plain.port,
            database=plain.database,
        ).render_as_string(hide_password=True)


def is_server(text: str) -> bool:
    """Whether a text is the URL of a server's database, not a file."""
    return text.partition("://")[0] in SERVERS and "://" in text


def file_place(path: Path) -> Place:
    """The place of a SQLite file; its key lies beside it as `<file>.key`."""
    path = path.expanduser().absolute()
    return Place(URL.create("sqlite", database=str(path)), path.with_name(f"{path.name}.key"))


def read_place(text: str, folder: Path | None = None, key: Path | None = None) -> Place:
    """The place that a path or URL names; relative paths are relative to `folder` (or here).

    `key` is the key file of a server's database that does not name one itself (`?key=PATH`).
    Raises WrongPlace.
    """
    base = folder or Path()
    if is_server(text):
        return _server_place(text, base, key)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return file_place(base / Path(text).expanduser())
    if scheme != "sqlite" or not rest.strip("/"):
        raise WrongPlace(f"{EXPECTED}`{scheme}://...`")
    return file_place(base / Path(rest.removeprefix("/")).expanduser())


def _server_place(text: str, base: Path, key: Path | None) -> Place:
    try:
        url = make_url(text).set(drivername=DRIVER)
    except (ArgumentError, ValueError):
        # What cannot be parsed may still hold a password: it is not repeated.
        raise WrongPlace(f"{EXPECTED}a `postgresql://` URL that cannot be read") from None
    if not url.database:
        raise WrongPlace(f"{EXPECTED}a `postgresql://` URL without the database's name")
    named = url.query.get("key")
    if isinstance(named, tuple):
        raise WrongPlace("database: one `key=` expected in the URL, seen several")
    if named:
        key = base / Path(named).expanduser()
    if key is None:
        raise WrongPlace("database: say where its key file lies: `?key=/folder/fleet.key`")
    return Place(url.difference_update_query(["key"]), key.absolute())
