"""The errors that cross a room's border, and what each asks of its caller.

    GatewayError
    ├── ConfigError        a setting is wrong: say so and do not start
    ├── StoreUnavailable   the database is away: answer 503, keep what is waiting, try again
    ├── NotTheOwner        another live node holds what this one asked for: do not start
    ├── CannotListen       an address is taken, or not ours: say which, and do not start
    └── Rejected           one request can't be taken: answer it, store nothing, charge nothing

Expected outcomes inside the gateway (throttled, refused by a carrier, no route) are values, not
errors. Errors of SMPP's own rooms stand in `gateway/smpp/errors.py`.
"""

from __future__ import annotations


class GatewayError(Exception):
    """The root of everything that this project raises on purpose."""


class ConfigError(GatewayError):
    """A setting is missing, unknown or out of range; `key` is its dotted path in the file."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(f"{key}: {detail}" if key else detail)
        self.key = key
        self.detail = detail


class StoreUnavailable(GatewayError):
    """The database did not answer; what was asked for may be repeated after `retry_after_s`."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NotTheOwner(GatewayError):
    """Another live node owns this database's carriers."""


class CannotListen(GatewayError):
    """An address that the settings name can't be listened on."""


class Rejected(GatewayError):
    """One request can't be taken.

    `code` is a stable word for programs, `field` the JSON path of what is wrong ("" when it is
    the request as a whole), `status` the HTTP status that says so, `detail` a sentence for people.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str = "",
        status: int = 422,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.status = status
        self.retry_after_s = retry_after_s
