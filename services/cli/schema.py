"""`perdure schema`: the versioned tables of the stores that a configuration names."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from services.persistence.schema import Schema


def _options(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option(
        "--store",
        "names",
        multiple=True,
        metavar="NAME",
        help="A data store of the file. Repeatable; without it, defaultStore and visibilityStore.",
    )(command)
    return click.option(
        "--config",
        "path",
        required=True,
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, readable=True),
        help="The server's configuration file.",
    )(command)


@click.group()
def schema() -> None:
    """Set up, update and check the schemas of a configuration's stores."""


@schema.command()
@_options
@click.option("--replicas", default=1, show_default=True, type=click.IntRange(1), help="Of a new Cassandra keyspace.")
@click.pass_context
def setup(context: click.Context, path: str, names: tuple[str, ...], replicas: int) -> None:
    """Create the database, or keyspace, and its tables where they are missing. What is there is left alone."""

    async def set_up(name: str, schema: "Schema") -> bool:
        stored = await schema.version()
        if stored is None:
            await schema.setup()
        return await _shown(name, schema, "set up" if stored is None else "there already")

    context.exit(_for_each(path, names, replicas, set_up))


@schema.command()
@_options
@click.pass_context
def update(context: click.Context, path: str, names: tuple[str, ...]) -> None:
    """Migrate older schemas to the version of this command, step by step. Back them up first."""

    async def migrate(name: str, schema: "Schema") -> bool:
        stored = await schema.version()
        await schema.update()
        return await _shown(name, schema, f"was {stored}")

    context.exit(_for_each(path, names, 1, migrate))


@schema.command()
@_options
@click.pass_context
def check(context: click.Context, path: str, names: tuple[str, ...]) -> None:
    """Show which versions are there. Exits with 1 when a server would refuse one of them."""

    async def show(name: str, schema: "Schema") -> bool:
        return await _shown(name, schema, "")

    context.exit(_for_each(path, names, 1, show))


async def _shown(name: str, schema: "Schema", remark: str) -> bool:
    """Prints what is there now, and returns whether a server takes it."""
    from services.persistence import SchemaMismatch
    from services.persistence.schema import check_version

    version = await schema.version()
    click.echo(f"{name}: {schema.place}: version {version}" + (f" ({remark})" if remark else ""))
    try:
        check_version(schema.place, version, schema.expected)
    except SchemaMismatch as mismatch:
        click.echo(f"perdure: {mismatch}", err=True)
        return False
    return True


def _for_each(
    path: str,
    names: tuple[str, ...],
    replicas: int,
    act: "Callable[[str, Schema], Coroutine[Any, Any, bool]]",
) -> int:
    """The exit code: 1 when one of the stores could not do it, which keeps it from no other."""
    import asyncio

    from services.config import ConfigError, load
    from services.host.stores import schema_of
    from services.persistence import StoreError, UnknownOutcome

    try:
        persistence = load(path).persistence
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--config") from None
    wanted = names or (persistence.default_store, persistence.visibility_store or persistence.default_store)
    failed = False
    for name in dict.fromkeys(wanted):
        if name not in persistence.datastores:
            known = ", ".join(persistence.datastores)
            raise click.BadParameter(f"{name!r} is none of the data stores: {known}", param_hint="--store")
        try:
            schema = schema_of(persistence.datastores[name], replicas=replicas)
            if schema is None:
                click.echo(f"{name}: SQLite: set up by the server that opens it")
                continue
            good = asyncio.run(act(name, schema))
        except (StoreError, UnknownOutcome, ConfigError) as error:
            click.echo(f"perdure: {name}: {error}", err=True)
            good = False
        failed = failed or not good
    return 1 if failed else 0
