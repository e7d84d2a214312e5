"""`python -m services.cli` is `perdure`."""

from services.cli import main

main()
