"""The option that lets the whole suite meet one defect of the museum."""

import pytest

from tests import museum


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--defect", choices=sorted(museum.DEFECTS), help="run the tests on this wrong code")


@pytest.fixture(autouse=True)
def planted(request: pytest.FixtureRequest):
    """Plant the chosen defect, if one was chosen, for the length of each test."""
    name = request.config.getoption("--defect", None)
    if name is None:
        yield
    else:
        with museum.defect(name):
            yield
