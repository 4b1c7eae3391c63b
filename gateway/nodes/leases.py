"""Who may speak to which carrier, decided from what the database says of nodes and leases.

A node holds one lease of time, which it renews; a carrier or a duty belongs to a node's *epoch*,
its claim of a number. Ending an epoch frees all that belongs to it in one step, and whoever ended
it can't be the node itself coming late: a renewal names the epoch.

    node    claimed ─► renewed … ─► given up (at a stop)
                          └──────► ended by another: expired, or its process seen to be gone
    lease   free ─► taken ─► given up ─► free
                      └── its node's epoch ended ─► free

Not here: how long a node may send on what it holds (`gateway/lease.py`), the statements
(`store/leases.py`), the clockwork (`keeper.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.ids import NODE_MAX
from gateway.model import CarrierId

START_TTL_S: Final = 30.0
"""A claim's first time: a node that starts has nothing yet that others could want."""
SETTLE_S: Final = 4.0
"""Nodes have to be the same ones for so long before carriers move for the sake of fairness."""
PATIENCE_S: Final = 1.5
"""What the node whose turn it is leaves lying for so long, anybody takes."""
GRACE_S: Final = 2.0
"""Whoever could not renew its own claim lets others come back for so long before it says that
theirs are over: the database was away from all of them."""


CARRIER: Final = "carrier:"


def name_carrier_lease(carrier_id: CarrierId) -> str:
    return f"{CARRIER}{carrier_id}"


def read_carrier_lease(name: str) -> CarrierId:
    """Return the carrier that a lease is of."""
    return CarrierId(int(name.removeprefix(CARRIER)))


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number as the store has it."""

    node: int
    epoch: int
    claimed: bool
    """Whether its last epoch neither was given up nor ended."""
    left_s: float
    """Until it expires, by the database's clock; negative afterwards."""
    ready: bool = False
    """Whether it takes carriers: it has started, and is not stopping."""
    process: str = ""
    """Which process it is (`gateway/processes.py`)."""
    place: str = ""
    """The same for people."""
    age_s: float = 0.0
    """Since its claim."""


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One lease as the store has it."""

    name: str
    node: int | None
    epoch: int | None
    quiet_s: float = 0.0
    """For so long at least nobody has sent there, when nobody has it."""
    usable: bool = False
    """Whether its owner could send there when it last said so."""


class Board(msgspec.Struct, frozen=True):
    """Everything at one moment of the database's."""

    nodes: Mapping[int, NodeRow]
    leases: Mapping[str, LeaseRow]

    def owner_of(self, lease: LeaseRow) -> int | None:
        """Return the node whose it is; None: nobody's, or of an epoch that has ended."""
        if lease.node is None:
            return None
        node = self.nodes.get(lease.node)
        return lease.node if node and node.claimed and node.epoch == lease.epoch else None

    @property
    def sharing(self) -> list[int]:
        """The nodes among which leases are shared out."""
        return sorted(n.node for n in self.nodes.values() if n.claimed and n.ready and n.left_s > 0)


class Ended(msgspec.Struct, frozen=True):
    """An epoch that may be ended, and whether its process is known to be gone."""

    node: int
    epoch: int
    gone: bool


class Wanted(msgspec.Struct, frozen=True):
    """Leases of one group that a node wants."""

    names: list[str]
    shared: bool
    """Whether all nodes want them alike and share them out."""


class Changes(msgspec.Struct, frozen=True):
    """What a node is to take, by name with its group, and to give up."""

    take: dict[str, str]
    give_up: list[str]


class Shares(msgspec.Struct, frozen=True):
    """What a node is to take and to give up now."""

    take: list[str]
    give_up: list[str]


def choose_number(nodes: Iterable[NodeRow], is_gone: Callable[[str], bool]) -> Ended:
    """Return the lowest number that can be claimed, with its last epoch (0: it had none).

    Raises ValueError when all are taken.
    """
    known = {row.node: row for row in nodes}
    for number in range(NODE_MAX + 1):
        row = known.get(number)
        if row is None:
            return Ended(number, 0, gone=False)
        gone = row.claimed and is_gone(row.process)
        if not row.claimed or row.left_s <= 0 or gone:
            return Ended(number, row.epoch, gone)
    raise ValueError(f"all of the {NODE_MAX + 1} node numbers are taken")


def find_ended(
    board: Board, me: int, is_gone: Callable[[str], bool], *, lenient: bool = False
) -> list[Ended]:
    """Return the epochs of other nodes that are over and that nobody has ended yet; `lenient`: only
    those whose process is gone."""
    found = []
    for row in board.nodes.values():
        if row.node == me or not row.claimed:
            continue
        gone = is_gone(row.process)
        if gone or (row.left_s <= 0 and not lenient):
            found.append(Ended(row.node, row.epoch, gone))
    return found


def choose_changes(
    board: Board,
    me: int,
    groups: Mapping[str, Wanted],
    held: Collection[str],
    *,
    settled: bool,
    overdue: Container[str] = (),
) -> Changes:
    """Decide what this node takes and gives up of all that is wanted; `held` is what it has."""
    shared = [wanted.names for _, wanted in sorted(groups.items()) if wanted.shared]
    shares = share_out(board, me, shared, settled=settled, overdue=overdue)
    group_of = {name: key for key, wanted in groups.items() for name in wanted.names}
    take = list(shares.take)
    for wanted in groups.values():
        if not wanted.shared:
            known = (board.leases.get(name) for name in wanted.names)
            take += [lease.name for lease in known if lease and board.owner_of(lease) is None]
    # What the store says is ours was taken by a statement whose answer got lost.
    take += [lease.name for lease in board.leases.values() if board.owner_of(lease) == me]
    unwanted = [name for name in held if name not in group_of]
    return Changes(
        {name: group_of[name] for name in take if name in group_of and name not in held},
        shares.give_up + unwanted,
    )


def share_out(
    board: Board,
    me: int,
    groups: Sequence[Sequence[str]],
    *,
    settled: bool,
    overdue: Container[str] = (),
) -> Shares:
    """Decide what this node takes and gives up; all nodes decide alike from the same board.

    Each group of leases is shared out by count. What is free goes to whoever has the least of its
    group. One lease moves at a time, from whoever has the most to whoever has two less, once the
    nodes have `settled`: a difference of one never moves anything, so nothing goes to and fro.
    `overdue` is what has been free for `PATIENCE_S`.
    """
    sharing = board.sharing
    if me not in sharing:
        return Shares([], [])
    take: list[str] = []
    give_up: list[str] = []
    for place, names in enumerate(groups):
        shares = _share_group(board, me, names, _turned(sharing, place), overdue)
        take += shares.take
        if settled:
            give_up += shares.give_up
    return Shares(take, give_up)


def _turned(sharing: list[int], place: int) -> list[int]:
    """Return the nodes in another order for each group: not everybody's odd one for the first."""
    turn = place % len(sharing)
    return sharing[turn:] + sharing[:turn]


def _share_group(
    board: Board, me: int, names: Sequence[str], sharing: Sequence[int], overdue: Container[str]
) -> Shares:
    owners = {name: board.owner_of(board.leases[name]) for name in names if name in board.leases}
    counts = Counter(dict.fromkeys(sharing, 0))
    counts.update(node for node in owners.values() if node is not None and node in counts)
    free = sorted(name for name, node in owners.items() if node is None)
    take = []
    for name in free:
        receiver = min(sharing, key=lambda node: (counts[node], sharing.index(node)))
        counts[receiver] += 1
        if receiver == me or name in overdue:
            take.append(name)
    if free:
        return Shares(take, [])
    most = max(sharing, key=lambda node: (counts[node], -sharing.index(node)))
    if most != me or counts[me] - min(counts.values()) < 2:
        return Shares([], [])
    return Shares([], [max(name for name, node in owners.items() if node == me)])
