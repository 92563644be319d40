"""What the CAs of an ensemble must be to each other, and what the file of one must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_x509 import ends, is_root, issued, public


def way(certificate: Any, certificates: Sequence[Any]) -> list[Any]:
    """What leads from a CA to its root, itself first, as far as it is among these.

    Of the same name and key there may be several, as when a CA was renewed: then the one that ends last.
    """
    found = [renewed(certificate, certificates)]
    while not is_root(found[-1]):
        above = [one for one in certificates if one not in found and issued(found[-1], one)]
        if not above:
            break
        found.append(max(above, key=lambda one: (is_root(one), ends(one))))
    return found


def renewed(certificate: Any, certificates: Sequence[Any]) -> Any:
    """Of a CA's certificates of one name and key that which ends last: whatever they signed is the same."""
    twins = [one for one in certificates if _same_ca(one, certificate)]
    return max((certificate, *twins), key=ends)


def _same_ca(one: Any, other: Any) -> bool:
    return bool(one.subject == other.subject and public(one) == public(other))


def rooted(certificate: Any, certificates: Sequence[Any]) -> bool:
    """Whether its root is among these."""
    return is_root(way(certificate, certificates)[-1])


@dataclass(frozen=True)
class Mixed:
    """Two CAs of which the one accepts certificates of the other.

    ``parting`` is whether one of them has a certificate of its own beside that, as while it is changed.
    """

    one: str
    other: str
    parting: bool


def mixed(authorities: Mapping[str, Sequence[Any]]) -> list[Mixed]:
    """Which CAs have a key in common, or have signed each other. Given are the certificates of each."""
    found = []
    for one, other in combinations(sorted(authorities), 2):
        here, there = authorities[one], authorities[other]
        alone = [ca for ca in here if not _related(ca, there)], [ca for ca in there if not _related(ca, here)]
        if len(alone[0]) < len(here):
            found.append(Mixed(one, other, parting=any(alone)))
    return found


def _related(certificate: Any, others: Sequence[Any]) -> bool:
    return any(
        public(certificate) == public(other) or issued(certificate, other) or issued(other, certificate)
        for other in others
    )
