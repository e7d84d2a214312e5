"""`perdure server start`: a host of a cluster, configured by a file."""

import click

from services.cli.serve import serve

SERVICES = ("frontend", "internal-frontend", "history", "matching", "worker")


@click.command()
@click.option(
    "--config",
    "path",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    help="The configuration file, with the reference server's keys. ${NAME} and ${NAME:-default} are filled in.",
)
@click.option(
    "--service",
    "names",
    multiple=True,
    type=click.Choice(SERVICES),
    help="A service this host runs. Repeatable; without it, frontend, history, matching and worker.",
)
@click.pass_context
def start(context: click.Context, path: str, names: tuple[str, ...]) -> None:
    """Run the services of a cluster that a configuration file describes."""
    from dataclasses import replace
    from typing import cast

    from services.config import ConfigError, ServiceName, load

    try:
        config = load(path)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--config") from None
    if names:
        config = replace(config, run_services=cast("tuple[ServiceName, ...]", tuple(dict.fromkeys(names))))
    context.exit(serve(config))
