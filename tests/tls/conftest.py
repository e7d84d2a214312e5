"""Authorities for the tests of TLS, made once: certificates cost little, but not nothing."""

import pytest

from tests.tls.authority import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
