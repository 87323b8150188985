"""Small versions of matplotlib's drawings: letters as text, few digits, no blanks."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree as ET

from PIL import Image

SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"
NUMBER = re.compile(r"-?\d+\.\d+")
SCALE = re.compile(r" ?scale\(([\d.]+) -[\d.]+\)")
PNG = "data:image/png;base64,"
SIDE, COLOURS = 100, 64  # of pictures inside a drawing


def slim(drawing: str) -> bytes:
    """A drawing of matplotlib's, in a half of its bytes or less.

    Matplotlib draws letters as outlines and leaves the words in a comment before them.
    The words take the outlines' place, but for formulas, which stay as they are drawn.
    """
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", HREF[1:-5])
    builder = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.fromstring(drawing.strip(), builder)
    outlines = {}
    for parent in list(root.iter()):
        words = ""
        for child in list(parent):
            if child.tag is ET.Comment:
                words = (child.text or "").strip()
                parent.remove(child)
            elif child.tag == f"{{{SVG}}}metadata":
                parent.remove(child)
            elif child.tag == f"{{{SVG}}}g" and words:
                outlines |= take_outlines(child)
                if "$" not in words:
                    write(child, words)
                words = ""
    used = {use.get(HREF, "")[1:] for use in root.iter(f"{{{SVG}}}use")}
    root.set("font-family", "DejaVu Sans, Verdana, sans-serif")
    kept = ET.SubElement(root, f"{{{SVG}}}defs")
    kept.extend(path for name, path in outlines.items() if name in used)
    for element in root.iter():
        if element.get(HREF, "").startswith(PNG):
            element.set(HREF, small_picture(element.get(HREF, "")))
        if element.tag != f"{{{SVG}}}text":
            element.text = None
        element.tail = None
        if element.tag == f"{{{SVG}}}g":
            element.attrib.pop("id", None)
            share_style(element)
        for key, value in element.attrib.items():
            if key != HREF:
                element.set(key, " ".join(NUMBER.sub(shorter, value).split()))
    return ET.tostring(root, encoding="utf-8")


def take_outlines(group: ET.Element) -> dict[str, ET.Element]:
    """Remove the outlines of letters from a group; they are by their names."""
    found = {}
    for parent in group.iter():
        for defs in parent.findall(f"{{{SVG}}}defs"):
            found |= {path.get("id", ""): path for path in defs}
            parent.remove(defs)
    return found


def write(group: ET.Element, words: str) -> None:
    """Make a group of outlines a text of the same size at the same place."""
    transform = group.get("transform", "")
    scale = SCALE.search(transform)
    size = 100 * float(scale[1]) if scale else 10
    for child in list(group):
        group.remove(child)
    group.tag, group.text = f"{{{SVG}}}text", words
    group.set("transform", SCALE.sub("", transform))
    group.set("font-size", f"{size:g}")


def shorter(number: re.Match[str]) -> str:
    """A number with the digits that are seen."""
    value = float(number[0])
    return f"{value:.1f}".removesuffix(".0") if abs(value) > 9.9 else f"{value:.3g}"


def share_style(group: ET.Element) -> None:
    """Let a group carry the style that all of its marks have."""
    styles = {mark.get("style") for mark in group}
    if len(styles) == 1 and None not in styles and "style" not in group.attrib:
        group.set("style", styles.pop() or "")
        for mark in group:
            del mark.attrib["style"]


def small_picture(data: str) -> str:
    """A picture of pixels, with fewer of them and of fewer colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(data.removeprefix(PNG))))
    picture.thumbnail((SIDE, SIDE))
    small = io.BytesIO()
    picture.quantize(COLOURS).save(small, "png", optimize=True)
    return PNG + base64.b64encode(small.getvalue()).decode()
