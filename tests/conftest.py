"""What several suites share: one whole stack, and a table to search in."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from archloom.client import Client
from archloom_local.stack import LocalStack
from fault_injection import fault_settings
from synthetic_table import write_table

# A shell that starts the tests in the background has SIGINT ignored, and every child would inherit that:
# the tests that press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that the stack may read data from."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def table(data_root: Path) -> Path:
    """Results for all of nasbench201: columns arch, val, test."""
    return write_table(data_root / "nasbench201.csv")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, data_root: Path, table: Path) -> Iterator[LocalStack]:
    """Two controllers, two workers and the built-in strategies; leases of two seconds."""
    with LocalStack(tmp_path_factory.mktemp("stack"), fault_settings(data_root)) as running:
        yield running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Client]:
    """A client that knows both controllers."""
    with Client(stack.target()) as connected:
        yield connected
