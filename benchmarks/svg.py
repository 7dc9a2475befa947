"""A picture of texts, bars and lines that is readable on light and on dark pages."""

from collections.abc import Sequence
from html import escape
from typing import Final, Literal

__all__ = ["COLOURS", "Drawing"]

type Point = tuple[float, float]

#: by name: on a light and on a dark page
COLOURS: Final = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "muted": ("#59636e", "#9198a1"),
    "grid": ("#d8dee4", "#30363d"),
    "grey": ("#8c959f", "#7d8590"),
    "blue": ("#0969da", "#58a6ff"),
    "orange": ("#bc4c00", "#f0883e"),
    "green": ("#1a7f37", "#3fb950"),
    "purple": ("#8250df", "#bc8cff"),
    "pink": ("#bf3989", "#f778ba"),
    "yellow": ("#7d6200", "#d4a72c"),
}


def _css(shade: int) -> str:
    rules = (
        f".{name}{{fill:{shades[shade]}}}.{name}-line{{stroke:{shades[shade]}}}"
        for name, shades in COLOURS.items()
    )
    return "".join(rules)


_STYLE: Final = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif}"
    ".title{font-size:16px;font-weight:600}.strong{font-weight:600}.small{font-size:11px}"
    "polyline{fill:none;stroke-width:2}.thin{stroke-width:1}.thick{stroke-width:3.5}.faint{opacity:.55}"
    ".dashed{stroke-dasharray:5 4}"
    f"{_css(0)}@media(prefers-color-scheme:dark){{{_css(1)}}}"
)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class Drawing:
    """An SVG document; the same calls give the same bytes.

    Styles are names of :data:`COLOURS` and of the classes in its style sheet; lines take a
    colour's name with ``-line`` behind it.

    :param title: what a screen reader says, and the headline
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._parts: list[str] = []
        self.text((16, 28), title, "title ink")

    def text(
        self,
        at: Point,
        text: str,
        style: str = "ink",
        anchor: Literal["start", "middle", "end"] = "start",
    ) -> None:
        x, y = map(_number, at)
        self._parts.append(
            f'<text x="{x}" y="{y}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def bar(self, at: Point, width: float, height: float, style: str) -> None:
        x, y, wide, high = map(_number, (*at, width, height))
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="1.5" class="{style}"/>'
        )

    def line(self, points: Sequence[Point], style: str) -> None:
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="{style}"/>')

    def dot(self, at: Point, style: str) -> None:
        x, y = map(_number, at)
        self._parts.append(f'<circle cx="{x}" cy="{y}" r="3" class="{style}"/>')

    def __str__(self) -> str:
        width, height = self._size
        title = escape(self._title)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-label="{title}">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n"
            f'<rect width="{width}" height="{height}" rx="6" class="paper"/>\n'
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"
