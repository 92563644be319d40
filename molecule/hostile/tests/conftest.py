"""What was tried, by whom, and what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from chaos.cluster import Cluster

LEAST = 60


@dataclass
class Attempts:
    """All of them, and the table that is printed in the end."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, who: str, what: str, outcome: str) -> None:
        """One that was made; ``outcome`` begins with "refused" if it was."""
        self.rows.append((who, what, outcome))

    def wrong(self) -> list[tuple[str, str, str]]:
        """Those that succeeded, or failed for another reason."""
        return [row for row in self.rows if not row[2].startswith(("refused", "harmless"))]


@pytest.fixture(scope="session")
def attempts(figures: list[str]) -> Iterator[Attempts]:
    attempts = Attempts()
    yield attempts
    figures.extend(f"{who:34} {what:44} {outcome}" for who, what, outcome in attempts.rows)
    refused = sum(row[2].startswith("refused") for row in attempts.rows)
    figures.append(f"{len(attempts.rows)} attempts, of which {refused} were refused")


@pytest.fixture(scope="session")
def secured(cluster: Cluster) -> Cluster:
    """The lab, whose clients use TLS."""
    cluster.settle()
    return cluster
