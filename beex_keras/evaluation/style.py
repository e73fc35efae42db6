"""The house style of all figures.

Figures are made without pyplot, so that they draw without a display and keep no global state. The
colours can be told apart with any colour vision and in grey, and a marker or dash always says the
same as the colour.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from beex_keras.errors import BeexError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#5F6368"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE)
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*X"
_TITLE = {"axes.titlesize": 11.5, "axes.titleweight": "bold", "axes.titlelocation": "left"}
_FRAME = {"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY}
_GRID = {"axes.grid": True, "axes.axisbelow": True, "grid.color": "#E3E5E8", "grid.linewidth": 0.8}
_LINES = {"lines.linewidth": 1.8, "lines.markersize": 5}
_LEGEND = {"legend.frameon": False, "legend.fontsize": 9.5}
_STYLE: Any = {"font.size": 10.5, **_TITLE, **_FRAME, **_GRID, **_LINES, **_LEGEND}

Arguments = ParamSpec("Arguments")


def styled(draw: "Callable[Arguments, Figure]") -> "Callable[Arguments, Figure]":
    """Runs a drawing function in the house style.

    Raises:
        BeexError: matplotlib is missing.
    """

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> "Figure":
        try:
            import matplotlib
        except ModuleNotFoundError:
            raise BeexError("Figures need matplotlib; pip install 'beex-keras[plots]'.") from None
        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def subplots(
    columns: int, width: float, height: float = 4.0, rows: int = 1
) -> tuple["Figure", list["Axes"]]:
    """A figure with rows of axes, in reading order, which make room for legends beside them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def percent(values: Any) -> np.ndarray:
    return 100 * np.asarray(values, float)


def shades(count: int) -> list[Any]:
    """Colours that darken with depth, all readable on white."""
    import matplotlib

    return list(matplotlib.colormaps["viridis_r"](np.linspace(0.18, 1.0, count)))
