"""A PostgreSQL server from Debian's package, in a scratch folder on a free loopback port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url

from state.database import Database
from state.place import DRIVER
from state.revision import make_current
from state.tables import metadata

ADMIN = "postgres"
ADDRESS = "127.0.0.1"
GUARDED, PASSWORD = "guarded", "pg-s3cret/@x"
"""A user who is asked for a password, which needs quoting in a URL; nobody else is asked."""
HBA = f"""\
host all {GUARDED} {ADDRESS}/32 scram-sha-256
host all all {ADDRESS}/32 trust
"""
SETTINGS = {
    "listen_addresses": ADDRESS,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "autovacuum": "off",
}
TEMPLATE = "fleet_template"
PREFIX, OWNER = "reconcile-pg-", "owner"


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`; None where PostgreSQL is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).parent if found else None


class Postgres:
    """A server that ends with `close`. `where` gives each path a database of its own."""

    def __init__(self, bin: Path) -> None:
        self._bin = bin
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # The server refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._data = self._folder / "data"
        self._sweep()
        (self._folder / OWNER).write_text(str(os.getpid()))
        self._names: dict[Path, str] = {}
        self._free: list[str] = []
        self._count = 0
        self._run(
            "initdb", "-D", str(self._data), "-U", ADMIN, "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )  # fmt: skip
        (self._data / "pg_hba.conf").write_text(HBA)
        with socket.create_server((ADDRESS, 0)) as free:
            self.port: int = free.getsockname()[1]
        lines = {**SETTINGS, "port": self.port}
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        self.start()
        self.sql(f'CREATE DATABASE "{TEMPLATE}"', f"CREATE ROLE {GUARDED} LOGIN SUPERUSER")
        self.sql(f"ALTER ROLE {GUARDED} PASSWORD '{PASSWORD}'")
        database = Database.server(self._url(TEMPLATE), TEMPLATE)
        make_current(database)
        database.close()

    def start(self) -> None:
        self._run(
            "pg_ctl", "start", "-w", "-s", "-D", str(self._data), "-l", str(self._folder / "log")
        )

    def stop(self, mode: str = "immediate") -> None:
        """End it; `immediate` is as if it crashed."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", mode, "-D", str(self._data))

    def close(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def sql(self, *statements: str, name: str = ADMIN) -> list[tuple[object, ...]]:
        """Run statements one by one as the administrator; the rows of the last."""
        rows: list[tuple[object, ...]] = []
        engine = create_engine(self._url(name), isolation_level="AUTOCOMMIT")
        with engine.connect() as link:
            for statement in statements:
                result = link.exec_driver_sql(statement)
                rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows

    def where(self, path: Path, **query: str) -> str:
        """The URL of the database that stands for a file: new at first, its key beside the file."""
        if path not in self._names:
            self._names[path] = self._emptied() if self._free else self.database()
        words = "&".join(f"{key}={value}" for key, value in query.items())
        return f"{self.url(self._names[path])}?key={path}.key{'&' + words if words else ''}"

    def name(self, path: Path) -> str:
        """The name of the database that stands for a file."""
        return self._names[path]

    def database(self, template: str = TEMPLATE) -> str:
        """A database with all tables and no rows (`template0`: with nothing); its name."""
        self._count += 1
        name = f"fleet_{self._count}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def lose(self, path: Path) -> None:
        """Forget the database that stands for a file, as if it had never been."""
        if path in self._names:
            self._free.append(self._names.pop(path))

    def recycle(self) -> None:
        """Whoever was given a database is done with it: emptying one is cheaper than a new one."""
        self._free.extend(self._names.values())
        self._names.clear()

    def _sweep(self) -> None:
        """End the servers of test runs that were killed before they could."""
        for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}"):
            with suppress(OSError, subprocess.CalledProcessError):
                if not Path("/proc", owner.read_text()).exists():
                    data = str(owner.parent / "data")
                    owner.unlink()
                    self._run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", data)
                    shutil.rmtree(owner.parent)

    def _emptied(self) -> str:
        name = self._free.pop()
        tables = ", ".join(f'"{table}"' for table in sorted(metadata.tables))
        self.sql(f"TRUNCATE {tables} RESTART IDENTITY", name=name)
        return name

    def url(self, name: str, user: str = ADMIN) -> str:
        return f"postgresql://{user}@{ADDRESS}:{self.port}/{name}"

    def _url(self, name: str) -> URL:
        return make_url(self.url(name)).set(drivername=DRIVER)

    def _run(self, program: str, *given: str) -> None:
        environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [str(self._bin / program), *given],
            check=True,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
        )
