"""The grammar of SCAN: what commands mean, and the five sets, line for line."""

import hashlib
import re
from collections import Counter

import pytest

from equinb.apps.scan import Pair, all_pairs, interpret, load_split

#: Lines, different ones, and the sha256 of the latter, sorted and joined.
SETS = {
    ("all", "train"): (
        20910,
        20910,
        "345bff3c25864652f326ba1960aa515d156b63f45067ea57268f71d7362a2440",
    ),
    ("add_jump", "train"): (
        14670,
        13204,
        "bae86988d6f11a9b88e181bb42b3a264c11b60be8b8b2a11459c4a865f60e399",
    ),
    ("add_jump", "test"): (
        7706,
        7706,
        "48956239771e67ded4d090164919ab79d21756218a3e94f9abc2cbe346c0cd1c",
    ),
    ("around_right", "train"): (
        15225,
        15225,
        "aaf218dfd82a8b6a88e32deeb096cf498ee58e56a3808b17f715182f0ca90130",
    ),
    ("around_right", "test"): (
        4476,
        4476,
        "f5f94bb13ea393fbac7d963a13f5eb9831e51090b2e7210831674c4f77a1fa7b",
    ),
}

MEANINGS = {
    "jump": "JUMP",
    "look thrice": "LOOK LOOK LOOK",
    "turn left": "TURN_LEFT",
    "walk right": "TURN_RIGHT WALK",
    "turn opposite right": "TURN_RIGHT TURN_RIGHT",
    "run opposite left": "TURN_LEFT TURN_LEFT RUN",
    "turn around right": "TURN_RIGHT TURN_RIGHT TURN_RIGHT TURN_RIGHT",
    "jump around left": ("TURN_LEFT JUMP TURN_LEFT JUMP TURN_LEFT JUMP TURN_LEFT JUMP"),
    "run left twice": "TURN_LEFT RUN TURN_LEFT RUN",
    "turn opposite left twice": "TURN_LEFT TURN_LEFT TURN_LEFT TURN_LEFT",
    "walk and run": "WALK RUN",
    "walk after run": "RUN WALK",
    "walk twice and turn left": "WALK WALK TURN_LEFT",
    "walk twice after turn left": "TURN_LEFT WALK WALK",
    "look and look": "LOOK LOOK",
    "jump right thrice after walk opposite right": (
        "TURN_RIGHT TURN_RIGHT WALK TURN_RIGHT JUMP TURN_RIGHT JUMP TURN_RIGHT JUMP"
    ),
    "look around right and jump twice": (
        "TURN_RIGHT LOOK TURN_RIGHT LOOK TURN_RIGHT LOOK TURN_RIGHT LOOK JUMP JUMP"
    ),
    "  walk   twice ": "WALK WALK",
}

NO_COMMANDS = [
    "",
    " ",
    "twice",
    "left",
    "and",
    "turn",
    "turn twice",
    "turn around",
    "jump around",
    "jump opposite",
    "jump left opposite",
    "jump left right",
    "jump left left",
    "jump around opposite left",
    "jump around around left",
    "jump twice left",
    "jump twice thrice",
    "jump walk",
    "hop",
    "jump upwards",
    "Jump",
    "JUMP",
    "jump,",
    "<eos>",
    "walk and",
    "and walk",
    "walk and run and look",
    "walk after run after look",
    "walk and run after look",
    "walk after run and look",
    "walk and and run",
    "walk and turn",
]


def pairs_of(task, part):
    return all_pairs() if task == "all" else getattr(load_split(task), part)


def line(pair):
    """As the files of the data set have it."""
    actions = " ".join(f"I_{action}" for action in pair.actions.split())
    return f"IN: {pair.command} OUT: {actions}"


@pytest.mark.parametrize("command", MEANINGS)
def test_what_commands_mean(command):
    assert interpret(command) == MEANINGS[command]


@pytest.mark.parametrize("command", NO_COMMANDS)
def test_no_commands(command):
    with pytest.raises(
        ValueError, match=f"^{re.escape(repr(command))} is no command of SCAN: a clause"
    ):
        interpret(command)


@pytest.mark.parametrize(("task", "part"), SETS)
def test_the_sets_are_the_published_ones(task, part):
    lines = [line(pair) for pair in pairs_of(task, part)]
    text = "\n".join(sorted(set(lines)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert (len(lines), len(set(lines)), digest) == SETS[task, part]


def test_only_the_bare_jump_is_there_more_than_once():
    counts = Counter(load_split("add_jump").train)
    jump = Pair("jump", "JUMP")
    assert counts.pop(jump) == 1467
    assert set(counts.values()) == {1}
    assert not any("jump" in pair.command for pair in counts)


@pytest.mark.parametrize(("task", "neither"), [("add_jump", 0), ("around_right", 1209)])
def test_nothing_is_both_trained_on_and_tested(task, neither):
    train, test = set(load_split(task).train), set(load_split(task).test)
    assert not train & test
    assert train | test <= set(all_pairs())
    assert len(set(all_pairs()) - train - test) == neither


def test_the_order_is_that_of_all_pairs():
    place = {pair: i for i, pair in enumerate(all_pairs())}
    for task, part in list(SETS)[2:]:
        places = [place[pair] for pair in pairs_of(task, part)]
        assert places == sorted(places)


def test_the_longest_sentences():
    assert max(len(pair.command.split()) for pair in all_pairs()) == 9
    assert max(len(pair.actions.split()) for pair in all_pairs()) == 48


def test_unknown_splits():
    with pytest.raises(ValueError, match="add_jump and around_right here; got 'sim"):
        load_split("simple")
