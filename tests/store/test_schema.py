"""Schemas of database servers: set up, checked, refused and migrated, by the command and by a server that opens one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli.command import perdure
from services.config import SQL
from services.persistence import SchemaMismatch, Store, StoreUnavailable
from services.persistence.mysql import mysql_schema, open_mysql
from services.persistence.mysql import schema as mysql
from services.persistence.mysql.migrations import MIGRATIONS as MYSQL_MIGRATIONS
from services.persistence.postgresql import open_postgresql, postgresql_schema
from services.persistence.postgresql import schema as postgresql
from services.persistence.postgresql.migrations import MIGRATIONS as POSTGRESQL_MIGRATIONS
from services.persistence.schema import Schema
from tests.processes import free_port
from tests.store.databases import mysql_config, postgresql_config, run_sql


@dataclass(frozen=True)
class Database:
    """One that is not there yet."""

    config: SQL

    async def open(self) -> Store:
        opened = open_mysql if self.config.plugin_name == "mysql8" else open_postgresql
        return await opened(self.config)

    def schema(self) -> Schema:
        of = mysql_schema if self.config.plugin_name == "mysql8" else postgresql_schema
        return of(self.config)

    def command(self, tmp_path: Path, *arguments: str) -> Result:
        file = tmp_path / "config.yaml"
        sql = self.config
        file.write_text(
            "persistence:\n  defaultStore: main\n  visibilityStore: main\n  numHistoryShards: 4\n  datastores:\n"
            "    other: {sql: {pluginName: sqlite, databaseName: /nowhere/p.db}}\n"
            f"    main: {{sql: {{pluginName: {sql.plugin_name}, databaseName: {sql.database_name},"
            f" connectAddr: '{sql.connect_addr}', user: {sql.user}}}}}\n"
        )
        command = ["schema", *arguments, "--config", str(file)]
        return CliRunner().invoke(perdure, command, prog_name="perdure")


@pytest.fixture(params=["postgresql", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    name = f"schema_{abs(hash(request.node.name))}"
    if request.param == "postgresql":
        return Database(postgresql_config(request.getfixturevalue("postgresql"), name))
    return Database(mysql_config(request.getfixturevalue("mariadb"), name))


def test_the_commands_set_up_and_check_and_can_be_run_again(database: Database, tmp_path: Path) -> None:
    absent = database.command(tmp_path, "check")
    assert absent.exit_code == 1
    assert "version None" in absent.stdout
    assert "has no schema; `perdure schema setup` creates it" in absent.stderr
    for remark in ("set up", "there already"):
        done = database.command(tmp_path, "setup")
        assert (done.exit_code, done.stderr) == (0, "")
        assert f"version 1 ({remark})" in done.stdout
    for verb in ("check", "update"):
        good = database.command(tmp_path, verb)
        assert (good.exit_code, good.stderr) == (0, "")


def test_the_commands_refuse_what_is_not_there(database: Database, tmp_path: Path) -> None:
    unknown = database.command(tmp_path, "check", "--store", "nobody")
    assert unknown.exit_code == 2
    assert "none of the data stores: other, main" in unknown.stderr
    sqlite = database.command(tmp_path, "setup", "--store", "other")
    assert (sqlite.exit_code, sqlite.stdout) == (0, "other: SQLite: set up by the server that opens it\n")
    nothing = database.command(tmp_path, "update")
    assert nothing.exit_code == 1
    assert "`perdure schema setup`" in nothing.stderr


async def test_a_server_refuses_a_schema_that_is_absent_or_of_another_version(database: Database) -> None:
    with pytest.raises(SchemaMismatch, match="has no schema; `perdure schema setup`"):
        await database.open()
    await database.schema().setup()
    await run_sql(database.config, "UPDATE schema_version SET version = 9")
    with pytest.raises(SchemaMismatch, match=r"version 9, this server knows version 1.*newer server"):
        await database.open()
    with pytest.raises(SchemaMismatch, match="newer server"):
        await database.schema().update()
    await database.schema().setup()
    assert await database.schema().version() == 9
    await run_sql(database.config, "UPDATE schema_version SET version = 0")
    with pytest.raises(SchemaMismatch, match=r"version 0, .*`perdure schema update` migrates it"):
        await database.open()
    await run_sql(database.config, "UPDATE schema_version SET version = 1")
    await (await database.open()).close()


async def test_of_many_who_set_up_at_once_one_does(database: Database) -> None:
    await asyncio.gather(*[database.schema().setup() for _ in range(6)])
    await (await database.open()).close()


async def test_a_migration_goes_step_by_step_and_on_from_where_it_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.schema().setup()
    broken = _with_steps(monkeypatch, ["CREATE TABLE two (id INT)", "CREATE TABLE three (id NO_SUCH_TYPE)"])
    schema = database.schema()
    with pytest.raises(Exception, match=r"(?i)no_such_type"):
        await schema.update()
    assert await schema.version() == 2
    broken("CREATE TABLE three (id INT)")
    await asyncio.gather(*[schema.update() for _ in range(3)])
    assert await schema.version() == 3
    await run_sql(database.config, "INSERT INTO two SELECT * FROM three")
    await (await database.open()).close()


def _with_steps(monkeypatch: pytest.MonkeyPatch, steps: list[str]) -> Callable[[str], None]:
    """Adds migrations; what it returns replaces the last of them."""

    def use() -> None:
        monkeypatch.setattr(postgresql, "MIGRATIONS", (*of_postgresql, *steps))
        monkeypatch.setattr(mysql, "MIGRATIONS", (*of_mysql, *((step,) for step in steps)))

    def replace_last(step: str) -> None:
        steps[-1] = step
        use()

    of_postgresql, of_mysql = POSTGRESQL_MIGRATIONS, MYSQL_MIGRATIONS
    use()
    return replace_last


@pytest.mark.parametrize("plugin", ["postgres12", "mysql8"])
async def test_a_server_that_is_not_there_is_unavailable(plugin: str) -> None:
    config = SQL(plugin_name=plugin, connect_addr=f"127.0.0.1:{free_port()}", user="nobody")  # type: ignore[arg-type]  # of the parameters above
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await Database(config).open()
