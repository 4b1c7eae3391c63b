"""What was odd about a peer, counted. None of it changes a session's state."""

from __future__ import annotations


class Tally:
    """Counts that outlive a session: the owner of several in a row gives each the same one."""

    __slots__ = (
        "malformed",
        "nacks",
        "overdue",
        "overflowed",
        "refused",
        "repeated",
        "unknown",
        "unmatched",
    )

    def __init__(self) -> None:
        self.nacks = 0
        """generic_nacks received."""
        self.unmatched = 0
        """Responses that answer nothing: too late, twice, or never asked for."""
        self.refused = 0
        """Requests that the state or the role forbids."""
        self.unknown = 0
        """Requests whose command nobody knows."""
        self.malformed = 0
        """PDUs whose body can't be read."""
        self.repeated = 0
        """Requests with the sequence_number of one that still waited for our answer."""
        self.overflowed = 0
        """Requests sent away because too many waited for our answers."""
        self.overdue = 0
        """Our requests that were not answered in time."""
