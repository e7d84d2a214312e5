"""The command's tree. Only click is imported here: what a subcommand needs, it imports when it runs."""

import os
import sys

import click

from services.cli.schema import schema
from services.cli.start import start
from services.cli.start_dev import start_dev


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="perdure", message="perdure %(version)s")
def perdure() -> None:
    """A durable-execution cluster that speaks the Temporal API."""


@perdure.group()
def server() -> None:
    """Run a server."""


server.add_command(start_dev)
server.add_command(start)
perdure.add_command(schema)


def main() -> None:
    """Run the command line. Exits with 2 on a mistake in it, or in a file that it names.

    The end is abrupt, as `services.host.run` wants it: everything is closed by now but the connections of clients.
    """
    try:
        perdure(prog_name="perdure")
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
