"""A duty done again and again, which survives the database being away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.errors import StoreUnavailable
from gateway.logs import get_logger

log = get_logger("housekeeping")


async def repeat(name: str, every_s: float, duty: Callable[[], Awaitable[None]]) -> None:
    """Do a duty, wait, and do it again, until cancelled."""
    while True:
        await attempt(name, duty)
        await asyncio.sleep(every_s)


async def attempt(name: str, duty: Callable[[], Awaitable[None]]) -> None:
    """Do a duty; one that fails is logged, and comes again."""
    try:
        await duty()
    except StoreUnavailable as error:
        log.warning("duty_put_off", duty=name, error=str(error))
    except Exception:
        log.exception("duty_failed", duty=name)
