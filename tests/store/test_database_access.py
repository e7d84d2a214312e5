"""Being let in by a database server: TLS, passwords, and what connectAttributes may say."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.config import SQL
from services.config.stores import PasswordCommand, StoreTLS
from services.persistence import Store, StoreError
from services.persistence.mysql import mysql_schema, open_mysql
from services.persistence.postgresql import open_postgresql, postgresql_schema
from tests.parts.mariadb import MariaDB
from tests.parts.postgresql import Postgresql
from tests.store.databases import mysql_config, postgresql_config, run_sql
from tests.tls.authority import Authority


class PostgresqlOverTLS(Postgresql):
    def _command(self) -> list[str]:
        cert, key = self.data.parent / "server.pem", self.data.parent / "server.key"
        return [*super()._command(), "-c", "ssl=on", "-c", f"ssl_cert_file={cert}", "-c", f"ssl_key_file={key}"]


class MariaDBOverTLS(MariaDB):
    def _command(self) -> list[str]:
        cert, key = self.data.parent / "server.pem", self.data.parent / "server.key"
        return [*super()._command(), f"--ssl-cert={cert}", f"--ssl-key={key}", f"--ssl-ca={cert.with_name('ca.pem')}"]


@dataclass(frozen=True)
class Secured:
    """A server with a certificate for 127.0.0.1, set up."""

    config: SQL
    opens: Callable[[SQL], Awaitable[Store]]
    ca: Path

    async def opened_with(self, tls: StoreTLS) -> None:
        store = await self.opens(replace(self.config, tls=tls))
        assert await store.read_namespace(name="nobody") is None
        await store.close()


@pytest.fixture(params=["postgresql", "mysql"])
def secured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Secured]:
    authority = Authority()
    _, key = authority.issue().write(tmp_path, "server")
    key.chmod(0o600)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.cert)
    if request.param == "postgresql":
        with PostgresqlOverTLS(tmp_path) as postgresql:
            config = postgresql_config(postgresql)
            asyncio.run(postgresql_schema(config).setup())
            yield Secured(config, open_postgresql, ca)
    else:
        with MariaDBOverTLS(tmp_path) as mariadb:
            config = mysql_config(mariadb)
            asyncio.run(mysql_schema(config).setup())
            yield Secured(config, open_mysql, ca)


async def test_a_server_is_believed_by_its_authority_and_its_name(secured: Secured, tmp_path: Path) -> None:
    verified = StoreTLS(enabled=True, ca_file=str(secured.ca), enable_host_verification=True)
    await secured.opened_with(verified)
    await secured.opened_with(StoreTLS(enabled=True))  # encrypted, and nobody asked who it is
    with pytest.raises(StoreError, match=r"(?i)tls: .*certificate"):
        await secured.opened_with(replace(verified, server_name="another.example"))
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(Authority("stranger").cert)
    with pytest.raises(StoreError, match=r"(?i)tls: .*certificate"):
        await secured.opened_with(replace(verified, ca_file=str(stranger)))
    with pytest.raises(StoreError, match="tls: "):
        await secured.opened_with(replace(verified, ca_file="/nowhere.pem"))


async def test_a_server_without_tls_is_not_talked_to_in_the_open(postgresql: Postgresql, mariadb: MariaDB) -> None:
    tls = StoreTLS(enabled=True)
    with pytest.raises(StoreError, match=r"tls: .*SSL"):
        await open_postgresql(replace(postgresql_config(postgresql, "postgres"), tls=tls))
    with pytest.raises(StoreError, match=r"tls: .*SSL"):
        await open_mysql(replace(mysql_config(mariadb, "mysql"), tls=tls))


async def test_a_password_may_come_from_a_command(mariadb: MariaDB, tmp_path: Path) -> None:
    config = mysql_config(mariadb, "with_password")
    await mysql_schema(config).setup()
    await run_sql(config, "CREATE USER somebody IDENTIFIED BY 'secret'")
    await run_sql(config, "GRANT ALL ON with_password.* TO somebody")
    somebody = replace(config, user="somebody")
    for let_in in (
        replace(somebody, password="secret"),
        replace(somebody, password_command=PasswordCommand(command="echo", args=("secret",))),
    ):
        await (await open_mysql(let_in)).close()
    with pytest.raises(StoreError, match="Access denied"):
        await open_mysql(replace(somebody, password="wrong"))
    failing = PasswordCommand(command="sh", args=("-c", "echo no idea >&2; exit 3"))
    with pytest.raises(StoreError, match="ended with 3: no idea"):
        await open_mysql(replace(somebody, password_command=failing))


async def test_connect_attributes_are_settings_of_the_session(postgresql: Postgresql, mariadb: MariaDB) -> None:
    config = postgresql_config(postgresql, "attributes")
    await postgresql_schema(config).setup()
    await (await open_postgresql(replace(config, connect_attributes={"work_mem": "8MB"}))).close()
    for attributes, complaint in (({"no_such": "1"}, "no_such"), ({"sslmode": "require"}, "the section `tls`")):
        with pytest.raises(StoreError, match=complaint):
            await open_postgresql(replace(config, connect_attributes=attributes))
    mysql = mysql_config(mariadb, "attributes")
    await mysql_schema(mysql).setup()
    taken = {"tx_isolation": "'READ-COMMITTED'", "parseTime": "true", "max_statement_time": "5"}
    await (await open_mysql(replace(mysql, connect_attributes=taken))).close()
    for attributes, complaint in (({"no_such": "1"}, "no_such"), ({"x = 1; DROP": "1"}, "not the name")):
        with pytest.raises(StoreError, match=complaint):
            await open_mysql(replace(mysql, connect_attributes=attributes))


async def test_a_database_that_may_lose_commits_is_warned_of(postgresql: Postgresql, mariadb: MariaDB) -> None:
    """The servers of this suite flush nothing to the disk."""
    config, mysql = postgresql_config(postgresql, "weak"), mysql_config(mariadb, "weak")
    await asyncio.gather(postgresql_schema(config).setup(), mysql_schema(mysql).setup())
    with capture_logs() as log:
        await (await open_postgresql(config)).close()
        await (await open_mysql(mysql)).close()
    warned = [line["setting"] for line in log if line["event"] == "The database may lose what it has acknowledged"]
    assert warned == ["fsync = off", "innodb_flush_log_at_trx_commit = 2"]
