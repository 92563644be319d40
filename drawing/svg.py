"""A little SVG: shapes with a look (a class of the style sheet), hatching, how wide text may be; PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import resvg_py

Element = ElementTree.Element
# How wide letters are in a wide bold font, in sizes of the font; readers' fonts are narrower, if anything.
SLIM, LEAN, BROAD = set("ijl.,:'|! "), set("frtI-()"), set("mwMW%@")


def text_width(text: str, size: float) -> float:
    """How wide a text is at most."""
    letters = (0.38 if c in SLIM else 0.5 if c in LEAN else 1.05 if c in BROAD else 0.69 for c in text)
    return size * sum(letters)


def png(svg: str, zoom: int = 2) -> bytes:
    """The picture in light, so many pixels to a unit."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom))


class Svg:
    """A drawing of a given width that grows downwards. Everything put into it is escaped."""

    def __init__(self, width: int, label: str, *, font: str, css: str, hatched: tuple[str, ...]) -> None:
        self._width = width
        self._hatched = hatched
        self.root = Element(
            "svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "timeline", "role": "group"}
        )
        self._parent = self.root
        self.root.set("aria-label", label)
        self.root.set("font-family", font)
        self.add("style").text = css
        for look in hatched:
            size: dict[str, Any] = {"width": 6, "height": 6, "patternUnits": "userSpaceOnUse"}
            pattern = self.add("pattern", id=self._hatch(look), patternTransform="rotate(45)", **size)
            self.add("rect", f"{look}-ground", pattern, width=6, height=6)
            self.add("path", f"{look}-line", pattern, d="M0 3h6")
        self._ground = self.add("rect", "ground", width=width)

    def finish(self, height: float) -> str:
        """The drawing as text."""
        self._ground.set("height", f"{height:.0f}")
        size = {
            "viewBox": f"0 0 {self._width} {height:.0f}",
            "width": str(self._width),
            "height": f"{height:.0f}",
        }
        self.root.attrib.update(size)
        return ElementTree.tostring(self.root, encoding="unicode")

    @contextmanager
    def link(self, target: str, label: str) -> Iterator[Element]:
        """What is drawn meanwhile leads to where the page tells the same: the keyboard gets there, too."""
        outer, self._parent = self._parent, self.add("a", href=f"#{target}")
        self._parent.set("aria-label", label)
        yield self._parent
        self._parent = outer

    def add(
        self, tag: str, look: str = "", parent: Element | None = None, *, said: str = "", **more: Any
    ) -> Element:
        """Any element; ``said`` is shown to who points at it."""
        element = ElementTree.SubElement(self._parent if parent is None else parent, tag)
        if look:
            element.set("class", look)
        for name, value in more.items():
            element.set(name, f"{value:.1f}" if isinstance(value, float) else str(value))
        if said:
            ElementTree.SubElement(element, "title").text = said
        return element

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        look: str,
        anchor: str = "start",
        *,
        parent: Element | None = None,
    ) -> None:
        """A line of text on the base line y."""
        more: dict[str, Any] = {"x": float(x), "y": float(y), "font-size": size, "text-anchor": anchor}
        self.add("text", look, parent, **more).text = text

    def bar(self, x: float, y: float, width: float, height: float, look: str, said: str = "") -> None:
        """A bar around the height y, never too narrow to be seen; hatched if its look is."""
        width = max(1.0, width)
        more: dict[str, Any] = {"fill": f"url(#{self._hatch(look)})"} if look in self._hatched else {}
        box: dict[str, Any] = {
            "x": float(x),
            "y": float(y - height / 2),
            "width": width,
            "height": height,
            "rx": min(2, height / 4),
        }
        self.add("rect", look, said=said, **box, **more)

    def cross(self, x: float, y: float, look: str, said: str = "") -> None:
        """Something that ended here."""
        self.add("path", look, said=said, d=f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8")

    def line(self, look: str, d: str, parent: Element | None = None) -> None:
        """A path."""
        self.add("path", look, parent, d=d)

    def _hatch(self, look: str) -> str:
        return f"{look}-{self._width}"  # two drawings may be in one page
