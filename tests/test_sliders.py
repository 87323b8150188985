"""Figures with a slider: what the HTML holds. tests/site moves one by keyboard."""

from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest

from equinb.sliders import slider


class Tags(HTMLParser):
    """All tags with their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def draw(n):
    ax = plt.figure().gca()
    ax.bar(range(n), range(1, n + 1))
    ax.set_title("1 < n & n < 6")  # letters that XML and HTML would read
    return f'{n} bars, "each" higher < the last'


def made(values=(2, 3, 5), **more):
    return slider(draw, values, "bars", "Some & bars.", **more).html


def test_one_frame_is_shown_and_each_says_what_is_seen():
    frames = Tags(made()).named("img")
    assert ["hidden" in frame for frame in frames] == [False, True, True]
    assert frames[2]["alt"] == '5 bars, "each" higher < the last'
    assert [frame["data-value"] for frame in frames] == ["2", "3", "5"]


def test_every_frame_is_a_drawing_of_its_own():
    frames = [frame["src"] for frame in Tags(made()).named("img")]
    assert len(set(frames)) == 3
    for frame in frames:
        kind, svg = frame.split(",", 1)
        assert kind == "data:image/svg+xml"
        assert ElementTree.fromstring(unquote(svg)).tag.endswith("svg")


def test_the_slider_has_a_name_a_range_and_a_value():
    html = made(tell="{} of them".format)
    (control,) = Tags(html).named("input")
    assert (control["min"], control["max"], control["value"]) == ("0", "2", "0")
    assert control["aria-valuetext"] == "2 of them"
    assert "<label>bars <input" in html
    assert "Some &amp; bars." in html


def test_no_other_host_and_no_script_is_asked_for():
    html = made()
    assert "<script" not in html
    assert not any("src" in a and "http" in a["src"][:20] for _, a in Tags(html).found)


def test_figures_are_closed():
    before = plt.get_fignums()
    made()
    assert plt.get_fignums() == before


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="there are none"):
        made(())
    with pytest.raises(ValueError, match="The frame for 4 says nothing"):
        slider(lambda n: plt.figure() and "", [4], "bars", "Bars.")


def test_a_notebook_shows_the_html():
    shown = slider(draw, [2], "bars", "Bars.")
    assert shown._repr_html_() == shown.html
