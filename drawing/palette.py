"""How the picture looks, in light and in dark. The hues are Okabe and Ito's, which the colour-blind can tell
apart; what matters is told by shape and word as well."""

FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

_SHAPES = """
.timeline .number, .timeline .strong { font-weight: 600 }
.timeline .halo { paint-order: stroke; stroke-width: 4px; stroke-linejoin: round }
.timeline path { fill: none; stroke-width: 1 }
.timeline .off-line, .timeline .frozen-line, .timeline .lost-line { stroke-width: 2 }
.timeline .silent-line, .timeline .deposed-line { stroke-width: 2 }
.timeline .rule { stroke-dasharray: 2 3 }
.timeline .kill { stroke-width: 2.6; stroke-linecap: round }
.timeline .submitted { stroke-width: 1.4; stroke-dasharray: 4 3 }
.timeline .ended, .timeline .stored { stroke-width: 2 }
.timeline .hover { fill-opacity: 0 }
"""

_COLOURS = """
.timeline .ground {{ fill: {ground} }}
.timeline path.ground {{ fill: {ground} }}
.timeline .ink {{ fill: {ink} }}
.timeline .halo {{ stroke: {ground} }}
.timeline .muted {{ fill: {muted} }}
.timeline .badge {{ fill: {ink} }}
.timeline .number {{ fill: {ground} }}
.timeline .track {{ fill: {track} }}
.timeline .grid, .timeline .tick {{ stroke: {grid} }}
.timeline .rule {{ stroke: {muted} }}
.timeline .kill {{ stroke: {ink} }}
.timeline .master.loud {{ fill: {blue} }}
.timeline .server.loud {{ fill: {orange} }}
.timeline .master.quiet {{ fill: {pale_blue} }}
.timeline .server.quiet {{ fill: {pale_orange} }}
.timeline .worker.quiet {{ fill: {green} }}
.timeline .owner.loud {{ fill: {deep_green} }}
.timeline .stored {{ stroke: {purple} }}
.timeline .gap {{ fill: {gap} }}
.timeline .on {{ fill: {on} }}
.timeline .adrift {{ fill: {muted} }}
.timeline .write {{ fill: {purple} }}
.timeline .submitted {{ stroke: {ink} }}
.timeline .ended {{ stroke: {green} }}
.timeline path.open {{ fill: {open} }}
.timeline .off-ground {{ fill: {off} }}
.timeline .off-line {{ stroke: {off_line} }}
.timeline .frozen-ground {{ fill: {frozen} }}
.timeline .frozen-line {{ stroke: {frozen_line} }}
.timeline .lost-ground {{ fill: {track} }}
.timeline .lost-line {{ stroke: {orange} }}
.timeline .silent-ground, .timeline .deposed-ground {{ fill: {track} }}
.timeline .silent-line {{ stroke: {muted} }}
.timeline .deposed-line {{ stroke: {ink} }}
"""

_LIGHT = {
    "ground": "#ffffff",
    "ink": "#1c2128",
    "muted": "#5b6570",
    "track": "#f0f2f5",
    "grid": "#e1e5ea",
    "on": "#ffffff",
    "blue": "#0072b2",
    "pale_blue": "#a6cbe3",
    "orange": "#b8500c",
    "pale_orange": "#eec3a2",
    "green": "#009e73",
    "deep_green": "#007a5a",
    "purple": "#9a5b86",
    "open": "#d5ece4",
    "gap": "#f3e6ee",
    "off": "#d9dee3",
    "off_line": "#c3cad1",
    "frozen": "#e4f3fc",
    "frozen_line": "#b4dcf5",
}
_DARK = {
    "ground": "#12161c",
    "ink": "#e8ebef",
    "muted": "#9aa5b1",
    "track": "#1d232b",
    "grid": "#2b333d",
    "on": "#0b0e12",
    "blue": "#56b4e9",
    "pale_blue": "#33566d",
    "orange": "#e9985a",
    "pale_orange": "#6f4a2c",
    "green": "#2fbf92",
    "deep_green": "#2fbf92",
    "purple": "#cc8fb8",
    "open": "#173a30",
    "gap": "#33222e",
    "off": "#3d4651",
    "off_line": "#4b5561",
    "frozen": "#173447",
    "frozen_line": "#24506c",
}

# Paper is light, whatever the screen is.
CSS = (
    _SHAPES
    + _COLOURS.format(**_LIGHT)
    + f"@media screen and (prefers-color-scheme: dark) {{{_COLOURS.format(**_DARK)}}}"
)
