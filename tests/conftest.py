"""For every test session."""

import os
import sys

import pytest

_status = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process here, with the session's own verdict.

    The SDK's native part (1.35) now and then crashes while the interpreter shuts down, whichever server it talked to,
    and a green session would end with signal 11.
    """
    status = config.stash.get(_status, None)
    if status is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
