"""The status page: when, where and how long everything ran, and what did not run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from equinb.apps import EXPERIMENTS, load_experiment
from equinb.lab import Finding, load_result, verify
from equinb.lab.command import command_of
from equinb.lab.files import ASSETS
from equinb.lab.provenance import now
from equinb.lab.results import RESULTS
from reference.pages import cells, link, runtime, spans, table

ENVIRONMENT = "environment.json"


def machine(notebooks: Path) -> str:
    """What the pages ran on, from the record of their execution."""
    made = json.loads((notebooks / ENVIRONMENT).read_text(encoding="utf-8"))
    where = (
        f"Computed on a CPU. System: {made['system']}, {made['cores']} cores. "
        f"Python {made['python']}. Site made on {now()[:10]}."
    )
    packages = table(["package", "version"], sorted(made["packages"].items()))
    return f"{where}\n\n{packages}"


def pages(notebooks: Path, names: list[str]) -> str:
    """The measured time of every page, in the order of the book."""
    rows, total = [], 0.0
    for name in names:
        code = cells(notebooks / f"{name}.ipynb")
        total += runtime(code)
        day = whole(spans(code)[-1][1].date())
        rows.append([link(name), f"{runtime(code):.0f}", day])
    rows.append([f"all {len(names)}", f"{total:.0f}", ""])
    return table(["page", "seconds", "executed"], rows, ["seconds"])


def whole(day: object) -> str:
    """A date that no line breaks."""
    return f"<time>{day}</time>"


def stored() -> str:
    """Every stored result: its age, what made it, and whether it would again."""
    findings = {finding.name: finding for finding in verify()}
    head = ["result", "rows", "state", "made", "days", "device", "seconds", "code"]
    lines = []
    for path in sorted(RESULTS.glob("*.csv")):
        rows, made = load_result(path.stem)
        state = state_of(findings[path.relative_to(ASSETS).as_posix()])
        line = [f"`{path.stem}`", len(rows), state, whole(made.date[:10])]
        line += [f"{made.age:.0f}", made.device, f"{made.wall_time:.0f}"]
        lines.append([*line, f"`{made.code_hash[:8]}`", f"`{made.command}`"])
    weights = [f for name, f in findings.items() if not name.startswith(RESULTS.name)]
    wrong = [f for f in weights if not f.ok]
    text = f"Files of weights: {len(weights)}, {len(weights) - len(wrong)} as listed."
    shown = table([*head, "command"], lines, ["rows", "days", "seconds"])
    return "\n".join([shown, text, *(f"- {f.name}: {f.note}" for f in wrong), ""])


def state_of(finding: Finding) -> str:
    """What was found out about a stored result, in words."""
    return "code unchanged" if finding.ok else f"**stale**: {finding.note}"


def unrun() -> str:
    """Every preset without stored rows, but for the quick ones."""
    head = ["experiment", "preset", "what it runs", "command", "a part of it"]
    return table(head, _unrun())


def _unrun() -> Iterator[tuple[str, ...]]:
    for name in EXPERIMENTS:
        experiment = load_experiment(name)
        for preset in experiment.presets:
            if preset == "quick" or (RESULTS / f"{name}-{preset}.csv").exists():
                continue
            config = experiment.config(preset)
            options = experiment.options(config).values()
            several = [o for o in options if isinstance(o, list)]
            named = [o for one in several for o in one if isinstance(o, str)]
            device = "cuda" if preset == "paper" else "cpu"
            command = command_of(experiment, preset, [0, 1, 2], config, device)
            # With options of its own, a result has their hash behind its name.
            part = [f"`{p.stem}`" for p in RESULTS.glob(f"{name}-{preset}-*.csv")]
            yield (
                *(experiment.title, preset, ", ".join(named)),
                *(f"`{command}`", ", ".join(sorted(part))),
            )
