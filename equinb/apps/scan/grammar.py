"""SCAN, generated: every command of its grammar, what it means, and the two splits.

The data set of Lake and Baroni (ICML 2018) is all of a small grammar, so that no file
is needed. Actions are written without the prefix `I_` of the original files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

VERBS = ("walk", "look", "run", "jump")
DIRECTIONS = ("left", "right")
CONJUNCTIONS = ("and", "after")
REPEATS = {"": 1, "twice": 2, "thrice": 3}

#: In the split "add jump" the bare command is in the training set this many times.
JUMP_COPIES = 1467


@dataclass(frozen=True)
class Pair:
    """A command and the actions that it asks for, both as words with spaces."""

    command: str
    actions: str


@dataclass(frozen=True)
class Split:
    """A task: what a model is trained on, and what it is tested on."""

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]


def interpret(command: str) -> str:
    """The actions that a command asks for.

    Args:
        command: words of SCAN, with spaces.

    Raises:
        ValueError: if it is no command of the grammar.

    Example:
        >>> interpret("jump left after walk twice")
        'WALK WALK TURN_LEFT JUMP'
    """
    words = command.split()
    for conjunction in CONJUNCTIONS:
        if conjunction in words:
            at = words.index(conjunction)
            halves = [words[:at], words[at + 1 :]]
            ordered = halves if conjunction == "and" else halves[::-1]
            return " ".join(_repeated(half, command) for half in ordered)
    return _repeated(words, command)


@cache
def all_pairs() -> tuple[Pair, ...]:
    """All 20,910 commands of the grammar, each once.

    Example:
        >>> len(all_pairs())
        20910
    """
    single = [
        f"{verb} {how}".strip()
        for verb in (*VERBS, "turn")
        for how in (
            *([""] if verb != "turn" else []),
            *(f"{way} {d}".strip() for way in _WAYS for d in DIRECTIONS),
        )
    ]
    clauses = [f"{s} {repeat}".strip() for s in single for repeat in REPEATS]
    joined = [f"{a} {c} {b}" for c in CONJUNCTIONS for a in clauses for b in clauses]
    return tuple(Pair(command, interpret(command)) for command in clauses + joined)


@cache
def load_split(task: str) -> Split:
    """A split of the paper, in a fixed order.

    "add_jump": of all commands with "jump", training holds only the bare one, many
    times. "around_right": training holds no "around right"; the test asks for it with
    every verb but "turn".

    Args:
        task: "add_jump" or "around_right".

    Raises:
        ValueError: for another task.

    Example:
        >>> split = load_split("add_jump")
        >>> len(split.train), len(split.test)
        (14670, 7706)
    """
    pairs = all_pairs()
    if task == "add_jump":
        bare = Pair("jump", interpret("jump"))
        others = tuple(p for p in pairs if "jump" not in p.command)
        test = (p for p in pairs if "jump" in p.command and p != bare)
        return Split(others + (bare,) * JUMP_COPIES, tuple(test))
    if task == "around_right":
        train = (p for p in pairs if "around right" not in p.command)
        test = (
            p
            for p in pairs
            if "around right" in p.command and "turn around right" not in p.command
        )
        return Split(tuple(train), tuple(test))
    raise ValueError(
        f"SCAN has the tasks add_jump and around_right here; got {task!r}."
    )


#: How a verb and a direction go together: what is done, given both.
_WAYS = {
    "": lambda turn, verb: [turn, *verb],
    "opposite": lambda turn, verb: [turn, turn, *verb],
    "around": lambda turn, verb: [turn, *verb] * 4,
}


def _repeated(words: list[str], command: str) -> str:
    """The actions of a clause: what is done, once, twice or thrice."""
    times = REPEATS[words.pop()] if words and words[-1] in REPEATS else 1
    return " ".join(_once(words, command) * times)


def _once(words: list[str], command: str) -> list[str]:
    verb, *how = words or [""]
    if verb in (*VERBS, "turn"):
        actions = [] if verb == "turn" else [verb.upper()]
        if not how and actions:
            return actions
        way = how[0] if len(how) == 2 else ""
        if how and how[-1] in DIRECTIONS and way in _WAYS and len(how) <= 2:
            return _WAYS[way](f"TURN_{how[-1].upper()}", actions)
    raise ValueError(
        f"{command!r} is no command of SCAN: a clause is a verb, a way and a direction "
        'at most, such as "jump around left twice".'
    )
