"""Stacks that were sampled, as a flame graph: one SVG that any browser shows, without scripts.

A frame is as wide as the share of samples that it is in; callers stand below what they call, as in
flames. Names of the whole frame show under the pointer.

Not here: sampling (`profile.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

WIDTH: Final = 1_200
ROW_HEIGHT: Final = 17
HEAD_HEIGHT: Final = 24
CHARACTER_WIDTH: Final = 6.4
SHARE_MIN: Final = 0.002
"""Narrower frames are left out: two pixels say nothing, and they are most of a file."""
_COLOURS: Final = {
    "gateway/": ("#f5a15a", "#f7b57c", "#f08c3c"),
    "asyncpg/": ("#7fb3e6", "#9cc5ee", "#639fdb"),
    "uvicorn/": ("#9ad29a", "#b2deb2", "#82c482"),
    "": ("#ddd0b8", "#e6dcc9", "#d2c2a4"),
}
"""Shades by what a frame's path holds; which of them tells neighbours apart."""


@dataclass(slots=True)
class Frame:
    """A function where it was called from."""

    name: str
    samples: int = 0
    """In which it stands on the stack."""
    calls: dict[str, Frame] = field(default_factory=dict)


def read_folded(lines: Iterable[str], within: str = "") -> Frame:
    """Return the tree of `caller;called;… samples` lines; raises ValueError for other lines.

    With `within`, of each stack what stands above the first frame whose name begins so, and
    nothing of the others: threads that wait, and what every stack has in common.
    """
    root = Frame(within or "all")
    for line in lines:
        stack, _, samples = line.strip().rpartition(" ")
        if not stack:
            if not line.strip():
                continue
            raise ValueError(f"not a stack with its samples: {line!r}")
        names = stack.split(";")
        if within:
            place = next((n for n, name in enumerate(names) if name.startswith(within)), None)
            if place is None:
                continue
            names = names[place + 1 :]
        _add(root, names, int(samples))
    return root


def _add(root: Frame, names: Sequence[str], samples: int) -> None:
    frame = root
    frame.samples += samples
    for name in names:
        frame = frame.calls.setdefault(name, Frame(name))
        frame.samples += samples


def write_svg(root: Frame, title: str) -> str:
    """Return the picture."""
    boxes = list(_lay_out(root, 0.0, 0, max(1, root.samples)))
    depth = max(level for _, _, level in boxes) + 1
    height = HEAD_HEIGHT + depth * ROW_HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">',
        f'<text x="4" y="16" font-size="13">{escape(title)}</text>',
    ]
    per_sample = WIDTH / max(1, root.samples)
    for frame, left, level in boxes:
        width = frame.samples * per_sample
        top = height - (level + 1) * ROW_HEIGHT
        share = frame.samples / max(1, root.samples)
        lines.append(
            f"<g><title>{escape(frame.name)} ({share:.1%})</title>"
            f'<rect x="{left * per_sample:.1f}" y="{top}" width="{width:.1f}"'
            f' height="{ROW_HEIGHT - 1}" fill={quoteattr(_colour(frame.name))}/>'
            f"{_write_label(frame.name, left * per_sample, top, width)}</g>"
        )
    return "\n".join([*lines, "</svg>", ""])


def _lay_out(
    frame: Frame, left: float, level: int, total: int
) -> Iterator[tuple[Frame, float, int]]:
    """Yield each frame that is wide enough, with its left edge in samples and its level."""
    yield frame, left, level
    for called in sorted(frame.calls.values(), key=lambda each: each.name):
        if called.samples >= SHARE_MIN * total:
            yield from _lay_out(called, left, level + 1, total)
        left += called.samples


def _write_label(name: str, left: float, top: int, width: float) -> str:
    room = int((width - 4) / CHARACTER_WIDTH)
    short = name.partition(" (")[0]
    if room < 3:
        return ""
    if len(short) > room:
        short = short[: room - 1] + "…"
    return f'<text x="{left + 2:.1f}" y="{top + 12}">{escape(short)}</text>'


def _colour(name: str) -> str:
    """Return a colour that tells whose code the frame is."""
    shades = next(shades for word, shades in _COLOURS.items() if word in name)
    return shades[sum(name.encode()) % len(shades)]
