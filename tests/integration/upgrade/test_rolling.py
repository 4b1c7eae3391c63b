"""Releases follow each other on one database under load, as real processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.upgrade.releases import (
    BREAKING,
    EXPANDING,
    PRESENT,
    NotHere,
    Release,
    make_next,
    may_follow,
    unpack_last,
)
from bench.upgrade.rolling import World, roll

RATE_PER_S = 80.0


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="gwu"))  # a socket's path may not be long
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def last_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    try:
        return unpack_last(tmp_path_factory.mktemp("last"))
    except NotHere as error:
        pytest.skip(f"the last release is not in this copy's history: {error}")


async def test_a_release_that_adds_to_the_schema_follows_this_one_and_is_taken_back(
    folder: Path, tmp_path: Path, empty_database_url: str
) -> None:
    following = make_next(tmp_path, EXPANDING)
    outcome = await roll(
        folder, [PRESENT, following, PRESENT], RATE_PER_S, empty_database_url, share_back=False
    )
    assert outcome.kept, outcome
    assert outcome.schema == PRESENT.code + len(EXPANDING)
    assert outcome.longest_s < 5, "an acceptance waited behind a migration"


async def test_this_release_follows_the_last_one_and_is_taken_back_or_says_what_to_stop(
    folder: Path, last_release: Release, empty_database_url: str
) -> None:
    if not may_follow(last_release, PRESENT):
        await see_refusals(folder, empty_database_url, last_release, PRESENT)
        return
    outcome = await roll(
        folder, [last_release, PRESENT, last_release], RATE_PER_S, empty_database_url
    )
    assert outcome.kept, outcome
    assert outcome.schema == PRESENT.code


async def test_releases_that_can_not_run_together_refuse_each_other_and_lose_nothing(
    folder: Path, tmp_path: Path, empty_database_url: str
) -> None:
    following = make_next(tmp_path, BREAKING, stop_first=True)
    await see_refusals(folder, empty_database_url, PRESENT, following)


async def see_refusals(folder: Path, database_url: str, old: Release, new: Release) -> None:
    async with World(folder, old, new, rate_per_s=RATE_PER_S, database_url=database_url) as world:
        first, second = world.nodes
        await world.begin(first)
        status, plan = await second.run("migrate", "--check")
        assert (status, plan["schema"]) == (1, old.code)
        waits_for = [gateway for step in plan["steps"] for gateway in step["waits_for"]]
        assert f"code {old.code} on" in waits_for[0]
        await second.start()  # it waits a while for the other one's end
        await world.send(50)
        assert await first.stop() == 0
        await second.serving()
        world.customer.nodes = [second]
        await first.start()
        refused = await first.ended()
        assert refused.status == 2
        assert "the database is newer than this gateway" in refused.said
        outcome = await world.finish(second)
    assert outcome.kept, outcome
    assert outcome.schema == new.code


def test_a_next_release_is_the_present_one_with_more_migrations(tmp_path: Path) -> None:
    made: dict[str, Callable[[Path], Release]] = {
        "may": lambda folder: make_next(folder, EXPANDING),
        "may not": lambda folder: make_next(folder, BREAKING, stop_first=True),
    }
    for word, make in made.items():
        release = make(tmp_path / word)
        assert release.migrations[: PRESENT.code] == PRESENT.migrations
        assert release.code > PRESENT.code
        assert may_follow(PRESENT, release) is (word == "may")
