"""Small facts kept between runs, by name, as JSON."""

from sqlalchemy import select

from state import tables
from state.api import Json
from state.database import Database, upsert


class Settings:
    """Settings by name. `store.*` names are the store's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Json:
        """The value; None when there is none."""
        statement = select(tables.settings.c.value).where(tables.settings.c.name == name)
        with self._database.reading(f"read setting {name}") as link:
            value: Json = link.execute(statement).scalar()
            return value

    def put(self, name: str, value: Json) -> None:
        with self._database.writing(f"write setting {name}") as link:
            upsert(link, tables.settings, [{"name": name, "value": value}])
