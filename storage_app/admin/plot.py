"""Pictures of how full an account is: SVG in the page, coloured by admin.css in both themes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from archive_site.admin_parts import size

WIDTH, HEIGHT = 720, 200
LEFT, RIGHT, TOP, BOTTOM = 78, 12, 12, 26
POINTS = 240
ROOM_SHOWN = 8


@dataclass(frozen=True)
class Point:
    """What an account held at a moment, in bytes. `room` is used and free together, where that is known."""

    at: datetime
    used: int
    reserved: int
    room: int | None


def capacity_bar(used: int, reserved: int, free: int | None) -> SafeString:
    """Used, reserved and free in one bar, with the figures below it."""
    if free is None:
        text = f"{size(used)} used, room unknown"
        return format_html('<small class="rk-figures">{}{}</small>', text, _reserved(reserved))
    room = max(1, used + reserved + free)
    first, second = 100 * used / room, 100 * reserved / room
    bar = format_html(
        '<svg class="rk-capacity{}" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{} % used">'
        '<rect class="rk-free" width="100" height="8"/><rect class="rk-used" width="{}" height="8"/>'
        '<rect class="rk-reserved" x="{}" width="{}" height="8"/></svg>',
        " rk-tight" if free < room / 10 else "", round(first), f"{first:.2f}", f"{first:.2f}", f"{second:.2f}",
    )  # fmt: skip
    return format_html(
        '{}<small class="rk-figures">{} used{}, {} free</small>', bar, size(used), _reserved(reserved), size(free)
    )


def capacity_plot(points: Sequence[Point]) -> SafeString | str:
    """Used bytes over time, what was reserved on top, and the room there was; fewer than two points make no line."""
    if len(points) < 2 or points[0].at == points[-1].at:
        return "Nothing to draw yet: the account is measured once an hour."
    points = _thinned(points)
    held = max(point.used + point.reserved for point in points) or 1
    # Beside ten times the room, growth would be a flat line.
    near = all(point.room is None or point.room < held * ROOM_SHOWN for point in points)
    top = max([held, *(point.room for point in points if point.room is not None)]) if near else held
    used = [(point, point.used) for point in points]
    stacked = [(point, point.used + point.reserved) for point in points]
    room = [(point, point.room) for point in points if point.room is not None and near]
    scale = _Scale(points[0].at, points[-1].at, top)
    floor = scale.y(0)
    area = f"{scale.line(used)} {scale.x(points[-1].at):.1f},{floor:.1f} {LEFT},{floor:.1f}"
    label = (
        f"Used: {size(points[0].used)} on {points[0].at:%Y-%m-%d}, {size(points[-1].used)} on {points[-1].at:%Y-%m-%d}"
    )
    return format_html(
        '<svg class="rk-plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}'
        '<polygon class="rk-area" points="{}"/><polyline class="rk-line-reserved" points="{}"/>'
        '<polyline class="rk-line" points="{}"/><polyline class="rk-line-room" points="{}"/></svg>'
        '<p class="rk-legend"><span class="rk-key-used">used</span> <span class="rk-key-reserved">with what is '
        'reserved</span>{}</p>',
        WIDTH, HEIGHT, label, _grid(scale, top), _dates(scale), area, scale.line(stacked), scale.line(used),
        scale.line(room), format_html(' <span class="rk-key-room">{}</span>', "room") if room else "",
    )  # fmt: skip


@dataclass(frozen=True)
class _Scale:
    first: datetime
    last: datetime
    top: int

    def x(self, at: datetime) -> float:
        part = (at - self.first) / (self.last - self.first)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, number: int) -> float:
        return TOP + (1 - number / self.top) * (HEIGHT - TOP - BOTTOM)

    def line(self, values: Sequence[tuple[Point, int]]) -> str:
        return " ".join(f"{self.x(point.at):.1f},{self.y(number):.1f}" for point, number in values)


def _grid(scale: _Scale, top: int) -> SafeString:
    rows = ((LEFT, WIDTH - RIGHT, f"{scale.y(n):.1f}", LEFT - 8, size(n)) for n in (0, top // 2, top))
    return format_html_join(
        "",
        '<line class="rk-grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
        '<text x="{3}" y="{2}" text-anchor="end" dominant-baseline="middle">{4}</text>',
        rows,
    )


def _dates(scale: _Scale) -> SafeString:
    form = "%Y-%m-%d" if (scale.last - scale.first).days >= 2 else "%m-%d %H:%M"
    ends = ((scale.first, LEFT, "start"), (scale.last, WIDTH - RIGHT, "end"))
    rows = ((x, HEIGHT - 6, anchor, at.strftime(form)) for at, x, anchor in ends)
    return format_html_join("", '<text x="{}" y="{}" text-anchor="{}">{}</text>', rows)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Every so many of them, the last one included."""
    step = max(1, -(-len(points) // POINTS))
    kept = list(points[::step])
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]


def _reserved(number: int) -> str:
    return f", {size(number)} reserved" if number else ""
