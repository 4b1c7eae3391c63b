"""A kept comparison as a page of Markdown, written from its JSON document alone."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

from bench.peers.measure import WARM_UP_MESSAGES
from bench.peers.summary import (
    spread,
    tabulate_cores,
    tabulate_figures,
    tabulate_ratios,
    write_markdown,
)

_WIDTH: Final = 100
_WHAT_IS_MEASURED: Final = f"""\
Accepted/s ends with the last answer, end to end/s with the last receipt at its end (below). CPU is
user and system time a message of the system's own processes, without the simulated carrier and
the load. Memory is the highest sum of proportional set sizes, looked at twice a second. Latencies
are of one HTTP request or one submit_sm: with as many at once as there are connections or room in
the window, and in an open loop at half of the rate reached. Lost and duplicated are messages at
the carrier over all rounds. Each run begins with {WARM_UP_MESSAGES} messages that are not
counted."""


def write_page(document: Mapping[str, Any]) -> str:
    """Return the page; it says on what, how and with what the figures came about."""
    measured, systems = document["measured"], document["systems"]
    titles = {name: about["title"] for name, about in systems.items()}
    parts = [
        "# Side by side",
        _fill(_describe_run(document)),
        write_markdown(tabulate_figures(measured, titles)),
        _WHAT_IS_MEASURED,
        "How many times the peer's rate, end to end, and how many times less CPU a message:",
        write_markdown(tabulate_ratios(measured, titles)),
        "Where the cores went, those that the systems do not pay for too:",
        write_markdown(tabulate_cores(measured, titles)),
        "## How each is set",
        "\n".join(_describe_system(about) for about in systems.values()),
    ]
    parts += [f"Left out: {titles[name]}: {why}" for name, why in document["left_out"].items()]
    return "\n\n".join(parts) + "\n"


def _describe_run(document: Mapping[str, Any]) -> str:
    machine, measured = document["machine"], document["measured"]
    rounds = {each["round"] for each in measured}
    machines = [each["machine"] for each in measured]
    other, load, stolen = (
        spread(machine[key] for machine in machines)
        for key in ("other_cores", "load_average", "stolen_cores")
    )
    assert other and load and stolen, "there are measurements"
    carrier = max(each["core_share"]["carrier"] for each in measured)
    return (
        f"`{document['command']}` on {document['measured_at']}, commit {document['commit']}:"
        f" {machine['processor']}, {machine['cores']} cores, {machine['memory_mb']:,} MB,"
        f" {machine['system']}. {measured[0]['messages']:,} messages a run; medians of"
        f" {len(rounds)} rounds, the lowest and highest in brackets. Other work on the machine took"
        f" {other.show(2)} cores meanwhile (load average {load.show(1)}, stolen {stolen.show(2)}"
        f" cores). The simulated carrier took at most {carrier:.0%} of a core."
    )


def _describe_system(about: Mapping[str, str]) -> str:
    return _fill(
        f"- **{about['title']}**: {about['configuration']}. Receipts end when they are"
        f" {about['receipts_end']}. Outlives a kill -9: {about['keeps']}.",
        "  ",
    )


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
