"""Tables and plots."""

import matplotlib.image
import pytest
from bitreplay_host.experiments import curves as plots
from bitreplay_host.experiments.class_incremental import METHODS, TITLES
from bitreplay_host.tables import table


def test_table():
    assert table(["", "a", "long head"], [["x", 1, 2.25], ["longer", "", "z"]]).splitlines() == [
        "        a  long head",
        "------  -  ---------",
        "x       1        2.2",
        "longer             z",
    ]


def test_table_without_rows():
    assert table(["one", "two"], []) == "one  two\n---  ---"


def test_accuracy_table():
    """Joint training has one value, below the last number of classes."""
    lines = plots.accuracy_table({"cwr": [90, 80.04, 7.125], "joint": [100.0]}, [2, 3, 4]).splitlines()
    assert lines == [
        "classes seen            2     3      4",
        "-------------------  ----  ----  -----",
        "CWR* alone           90.0  80.0    7.1",
        "joint (upper bound)              100.0",
    ]


def test_every_method_has_a_title_and_a_colour():
    assert set(plots.COLORS) == set(TITLES) == set(METHODS)
    assert len(set(plots.COLORS.values())) == len(METHODS)


@pytest.mark.parametrize(
    "curves",
    [
        {method: [50.0, 40.0, 30.0] for method in METHODS if method != "joint"} | {"joint": [60.0]},
        {"replay_deep q_b 2": [0, 0, 0], "replay_deep q_b 16 nearest": [100, 100, 100]},
        {f"naive q_b {q_b}": [q_b, q_b, q_b] for q_b in range(2, 17)},
    ],
    ids=["methods", "extremes", "many of one method"],
)
def test_plot(curves, tmp_path, monkeypatch):
    """A picture in which every curve is drawn, looks different and is named at its end, one above the other."""
    from matplotlib.axes import Axes

    drawn, names = [], []
    plot, annotate = Axes.plot, Axes.annotate

    def record(self, *arguments, **settings):
        drawn.append((settings["color"], settings["linestyle"]))
        return plot(self, *arguments, **settings)

    def record_name(self, text, place, **settings):
        names.append((settings["xytext"][1], text))
        return annotate(self, text, place, **settings)

    monkeypatch.setattr(Axes, "plot", record)
    monkeypatch.setattr(Axes, "annotate", record_name)
    path = tmp_path / "new folder" / "plot.png"
    plots.plot(path, curves, [2, 3, 4], "a title")
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 300 and picture.shape[1] > 600 and picture.std() > 0.01
    assert len(drawn) == len(names) == len(curves)
    methods = [name.split()[0] for name in curves]
    assert len(set(drawn)) == sum(min(methods.count(method), 5) for method in set(methods))
    heights = [height for height, _ in names]
    assert all(b - a > 4 for a, b in zip(heights, heights[1:], strict=False)), "names overlap"
    for name, curve in curves.items():
        method, *words = name.split()
        assert f"{' '.join([TITLES[method], *words])}  {float(curve[-1]):.1f}" in [text for _, text in names]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([10, 50], [10, 50]),
        ([36, 40, 41], [33, 39, 45]),
        ([1, 2], [0, 6]),
        ([0, 8, 9], [-0.0, 6, 12]),
    ],
    ids=["far apart", "around their mean", "not below the axis", "one pushes the next"],
)
def test_names_lie_at_their_values_or_close_to_them(values, wanted):
    assert plots._places(values, 6, 0) == pytest.approx(wanted)


@pytest.fixture
def bars(monkeypatch):
    """The (y, deviations) of the bars that are drawn, and the x labels of the axes."""
    from matplotlib.axes import Axes

    drawn, errorbar = [], Axes.errorbar

    def record(self, x, y, spread, **settings):
        drawn.append((list(y), list(spread)))
        return errorbar(self, x, y, spread, **settings)

    monkeypatch.setattr(Axes, "errorbar", record)
    return drawn


def test_bars_of_curves(tmp_path, bars, monkeypatch):
    """Where there are several seeds; over experiences where known classes come again, even hundreds."""
    labels = []
    monkeypatch.setattr(plots, "_finish", lambda axes, *told: labels.append(told[-1]))
    curves = {"cwr": [90.0, 70.0], "joint": [80.0], "naive": [1.0, 2.0]}
    plots.plot(tmp_path / "a.png", curves, [2, 3], "title", {"cwr": [1.0, 2.0], "joint": [3.0]})
    assert bars == [([90.0, 70.0], [1.0, 2.0]), ([80.0], [3.0])]
    plots.plot(tmp_path / "b.png", {"cwr": [50.0] * 391}, [10] + [50] * 390, "title", {"cwr": [1.0] * 391})
    assert labels == ["classes seen", "experience"]
    assert matplotlib.image.imread(tmp_path / "b.png").std() > 0.01


def test_plot_over_a_setting(tmp_path, bars):
    """A line for each name, in the order of the setting, and what does not depend on it from end to end."""
    lines = {"replay_head": [(2000, 60.0, 1.0), (500, 50.0, 0.5)], "replay_deep q_b 2": [(500, 40.0, None)]}
    plots.over(tmp_path / "c.png", lines, {"ncm": (30.0, 0.25), "naive": (10.0, None)}, "title", "bytes")
    assert bars == [([50.0, 60.0], [0.5, 1.0]), ([30.0], [0.25])]
    picture = matplotlib.image.imread(tmp_path / "c.png")
    assert picture.shape[1] > 600 and picture.std() > 0.01
