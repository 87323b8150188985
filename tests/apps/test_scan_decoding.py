"""Decoding and the rules for sentences, each against a slow reference."""

import copy
import math

import pytest
import torch
from scan_cases import (
    EOS,
    GROUPS,
    actions_on,
    joined,
    left_alone,
    next_word,
    some,
    trained,
    untrained,
)
from torch.nn.functional import one_hot, pad

import equinb as eq
from equinb.apps import scan
from equinb.apps.scan.methods import GeometricMean
from equinb.equitune import Uniform
from equinb.equizero import ArgMin
from equinb.lambda_equitune import Learned

EACH_CELL = pytest.mark.parametrize("kind", scan.CELLS)
EACH_GROUP = pytest.mark.parametrize("name", GROUPS)
LOSSES = [scan.certainty, scan.surprise]
EACH_LOSS = pytest.mark.parametrize("loss", LOSSES)
LAMBDA = torch.nn.Linear(8, 1, dtype=torch.float64).requires_grad_(False)
torch.nn.init.constant_(LAMBDA.weight[:, 2:4], 3.0)


def unsure(p):
    return -p.amax(-1)


def ends(words):
    """`(..., 50)`: the places up to the first EOS, which is one of them."""
    over = words == EOS
    return over.cumsum(-1) - over.long() == 0


def branches_of(kind="LSTM", name="Verb", each=30):
    by = scan.symmetry(name)
    return scan.speak(trained(kind), some(each).commands, by)


# Saying a sentence, against the core of the package.

JOINTLY = {
    "equitune": (lambda p, on: eq.Equitune(p, *on), Uniform()),
    "equizero": (
        lambda p, on: eq.Equizero(p, *on, loss=unsure, tolerance=scan.TIE),
        ArgMin(unsure, tolerance=scan.TIE),
    ),
    "lambda-equitune": (
        lambda p, on: eq.LambdaEquitune(p, *on, LAMBDA),
        Learned(LAMBDA, of="outputs"),
    ),
}


def slowly(commands, p):
    """Words and distributions: everything is read again before every word."""
    words, told = torch.empty(len(commands), 0, dtype=torch.long), []
    for _ in range(scan.LONGEST):
        told.append(p(joined(commands, words)))
        words = torch.cat([words, told[-1].argmax(-1)[:, None]], 1)
        if (words == EOS).any(1).all():
            break
    used, rest = ends(words), scan.LONGEST - len(told)
    p = torch.stack(told, 1) * used[..., None]
    return pad(words * used, (0, rest)), pad(p, (0, 0, 0, rest))


@pytest.mark.parametrize("method", JOINTLY)
@pytest.mark.parametrize(
    ("kind", "name"), [("LSTM", "Verb"), ("LSTM", "Verbs"), ("GRU", "Verbs")]
)
def test_decoding_is_the_core_word_by_word(kind, name, method):
    model, by = trained(kind, torch.float64), scan.symmetry(name)
    commands = some(2).commands
    build, weighting = JOINTLY[method]
    words, p = slowly(commands, build(next_word(model), actions_on(by)))
    said = scan.say(model, commands, by, weighting)
    assert torch.equal(said.words, words)
    torch.testing.assert_close(said.p, p)
    alone = scan.say(model, commands)
    assert not torch.equal(alone.words, words)


@EACH_CELL
def test_decoding_without_a_symmetry_is_the_model(kind):
    model, commands = trained(kind, torch.float64), some(2).commands
    words, p = slowly(commands, next_word(model))
    for by in (None, scan.symmetry("None")):
        said = scan.say(model, commands, by)
        assert torch.equal(said.words, words)
        torch.testing.assert_close(said.p, p)


def test_the_geometric_mean():
    model, by = trained("GRU", torch.float64), scan.symmetry("Verbs")
    commands = some(2).commands

    def p(ids):
        views = actions_on(by)[0].orbit(ids)
        each = [next_word(model)(view).log() for view in views]
        aligned = [
            by.logits.act(int(by.group.inverses[g]), x) for g, x in enumerate(each)
        ]
        mean = torch.stack(aligned).mean(0).exp()
        return mean / mean.sum(-1, keepdim=True)

    words, told = slowly(commands, p)
    said = scan.say(model, commands, by, GeometricMean())
    assert torch.equal(said.words, words)
    torch.testing.assert_close(said.p, told)


# Many sentences at once.


@pytest.mark.parametrize("name", ["None", "Verbs"])
@EACH_CELL
def test_all_at_once_or_one_by_one(kind, name):
    model, by = trained(kind), scan.symmetry(name)
    commands = some(30 if name == "None" else 6).commands
    together = scan.say(model, commands, by)
    alone = [scan.say(model, x[None], by) for x in commands]
    assert torch.equal(together.words, torch.cat([said.words for said in alone]))
    p = torch.cat([said.p for said in alone])
    torch.testing.assert_close(together.p, p, rtol=1e-3, atol=1e-4)
    assert len(together.words.ne(EOS).sum(1).unique()) >= 5


@pytest.mark.parametrize("name", ["None", "Verb", "Verbs"])
def test_chunks_change_nothing(name):
    model, by, commands = trained("LSTM"), scan.symmetry(name), some(20).commands
    whole = scan.say(model, commands, by)
    for chunk in (1000, 7):
        said = scan.say(model, commands, by, chunk=chunk)
        assert torch.equal(said.words, whole.words)
        torch.testing.assert_close(said.p, whole.p, rtol=1e-3, atol=1e-4)


def test_chunks_of_weighted_sentences():
    model, by, commands = trained("LSTM"), scan.symmetry("Verbs"), some(10).commands
    torch.manual_seed(0)
    weights = torch.rand(4, len(commands)).softmax(0)
    whole = scan.say(model, commands, by, weights)
    assert torch.equal(
        scan.say(model, commands, by, weights, chunk=3).words, whole.words
    )
    order = torch.randperm(len(commands))
    mixed = scan.say(model, commands[order], by, weights[:, order])
    assert torch.equal(mixed.words, whole.words[order])


@EACH_CELL
def test_columns_of_padding_change_nothing(kind):
    model, commands = trained(kind), some(10).commands
    longest = int((commands != EOS).sum(1).max()) + 1
    whole = scan.say(model, commands)
    for other in (commands[:, :longest], pad(commands, (0, 4), value=EOS)):
        said = scan.say(model, other)
        assert torch.equal(said.words, whole.words)
        assert torch.equal(said.p, whole.p)


# What is said.


@pytest.mark.parametrize("name", ["None", "Verb", "Verb x Direction"])
@EACH_CELL
def test_distributions_until_the_end_and_nothing_after(kind, name):
    said = scan.say(trained(kind), some(20).commands, scan.symmetry(name))
    assert said.words.shape == (len(said.p), scan.LONGEST)
    used = ends(said.words)
    assert not used.all()
    assert (said.words[~used] == EOS).all()
    assert (said.p[~used] == 0).all()
    sums = said.p[used].sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    assert torch.equal(said.p.argmax(-1), said.words)


def test_sentences_as_text():
    said = scan.say(trained("LSTM"), some(5).commands)
    assert said.sentences == scan.ACTIONS.decode(said.words)


def endless(kind):
    """A model that never holds EOS most likely."""
    model = copy.deepcopy(trained(kind))
    with torch.no_grad():
        model.out.bias[EOS] -= 1e4
    return model


@pytest.mark.parametrize("name", ["None", "Verb"])
@EACH_CELL
def test_sentences_that_never_end_are_given_up_and_wrong(kind, name):
    commands, _ = some(4)
    said = scan.say(endless(kind), commands, scan.symmetry(name))
    assert (said.words != EOS).all()
    assert (said.p.sum(-1) > 0.99).all()
    first = said.words[:, : scan.ACTIONS.longest]
    longest = pad(first, (0, 1), value=EOS)
    assert not scan.exact_match(said.words, longest).any()
    assert not scan.exact_match(said.words, said.words[:, :49]).any()
    assert scan.accuracy(endless(kind), some(4)) == 0


LONG = " ".join(["WALK"] * 48)


@pytest.mark.parametrize(
    ("sentence", "wanted", "right"),
    [
        ("JUMP RUN", "JUMP RUN", True),
        ("JUMP", "JUMP RUN", False),
        ("JUMP RUN RUN", "JUMP RUN", False),
        ("RUN JUMP", "JUMP RUN", False),
        ("", "JUMP", False),
        ("", "", True),
        (LONG, LONG, True),
        (f"{LONG} WALK", LONG, False),
        (f"{LONG} WALK WALK", LONG, False),
        (LONG[5:], LONG, False),
    ],
)
def test_exact_matches(sentence, wanted, right):
    words = [scan.ACTIONS.ids[word] for word in sentence.split()]
    said = torch.tensor([words + [EOS] * (50 - len(words))])
    assert scan.exact_match(said, scan.ACTIONS.encode([wanted])).tolist() == [right]


# Weights for the whole sentence.


@EACH_GROUP
@EACH_CELL
def test_all_weight_on_one_view_is_that_view(kind, name):
    by, model = scan.symmetry(name), trained(kind)
    commands = some(10).commands
    branches = scan.speak(model, commands, by)
    p = by.logits.undo(branches.p)
    for g in range(by.group.order):
        weights = one_hot(torch.full((len(commands),), g), by.group.order).T
        said = scan.say(model, commands, by, weights.float())
        assert torch.equal(said.words, branches.aligned[g])
        torch.testing.assert_close(said.p, p[g], rtol=1e-3, atol=1e-4)
    assert not torch.equal(branches.aligned[0], branches.aligned[1])


def test_even_weights_are_equitune():
    model, by, commands = trained("GRU"), scan.symmetry("Verbs"), some(10).commands
    even = torch.full((4, len(commands)), 0.25)
    said, usual = scan.say(model, commands, by, even), scan.say(model, commands, by)
    assert torch.equal(said.words, usual.words)
    assert torch.equal(said.p, usual.p)


# What each view says by itself.


@EACH_GROUP
def test_branches_are_what_is_said_to_each_view(name):
    branches = branches_of(name=name, each=10)
    by = branches.by
    for g in range(by.group.order):
        said = scan.say(trained("LSTM"), by.commands.act(g, branches.commands))
        assert torch.equal(said.words, branches.words[g])
        torch.testing.assert_close(said.p, branches.p[g], rtol=1e-3, atol=1e-4)
        back = by.actions.act(int(by.group.inverses[g]), branches.words[g])
        assert torch.equal(back, branches.aligned[g])


def test_the_orbit_of_distributions():
    orbit = branches_of(name="Verbs").orbit()
    words = branches_of(name="Verbs").aligned
    assert torch.equal(orbit.aligned.argmax(-1), words)
    assert torch.equal(orbit.outputs, branches_of(name="Verbs").p)


def told(*most):
    """`(1, 50, 8)`: distributions with these greatest probabilities, then nothing."""
    p = torch.zeros(1, scan.LONGEST, 8)
    for place, value in enumerate(most):
        p[0, place] = (1 - value) / 7
        p[0, place, place % 8] = value
    return p


@pytest.mark.parametrize(
    ("most", "certain", "slots", "surprised"),
    [
        ((1.0,), -1.0, -(1 + 49 / 8) / 50, 0.0),
        ((0.5,), -0.5, -(0.5 + 49 / 8) / 50, math.log(2)),
        ((0.5, 1.0), -0.75, -(1.5 + 48 / 8) / 50, math.log(2)),
        ((0.5, 0.5, 0.5, 0.5), -0.5, -(2 + 46 / 8) / 50, 4 * math.log(2)),
        ((0.8, 0.6, 1.0), -0.8, -(2.4 + 47 / 8) / 50, -math.log(0.48)),
        ((1.0,) * 50, -1.0, -1.0, 0.0),
        ((0.5,) * 50, -0.5, -0.5, 50 * math.log(2)),
    ],
)
def test_scores_of_sentences(most, certain, slots, surprised):
    p = told(*most)
    assert scan.certainty(p).tolist() == pytest.approx([certain])
    assert scan.certainty_of_slots(p).tolist() == pytest.approx([slots])
    assert scan.surprise(p).tolist() == pytest.approx([surprised])


def test_scores_take_many_sentences():
    p = torch.cat([told(1.0), told(0.5, 0.5)])
    for score in (scan.certainty, scan.certainty_of_slots, scan.surprise):
        assert score(p).tolist() == [score(p[:1]).item(), score(p[1:]).item()]


# Equizero.


@EACH_LOSS
@EACH_GROUP
@EACH_CELL
def test_equizero_is_the_view_of_least_loss(kind, name, loss):
    branches = branches_of(kind, name, each=15)
    words, weights = scan.equizero(trained(kind), branches, loss)
    losses = torch.stack([loss(p) for p in branches.p])
    two = losses.sort(0).values[:2]
    clear = two[1] - two[0] > 1e-4 * losses.abs().amax(0)
    assert clear.float().mean() > 0.4
    best = losses.argmin(0)
    assert len(best[clear].unique()) > 1
    for n in clear.nonzero()[:, 0].tolist():
        assert torch.equal(words[n], branches.aligned[best[n], n])
        assert weights[best[n], n] == 1
    torch.testing.assert_close(weights.sum(0), torch.ones(len(words)))


@EACH_LOSS
@pytest.mark.parametrize("name", GROUPS[:3])
@EACH_CELL
def test_views_of_a_command_left_alone_tie(kind, name, loss):
    by, model = scan.symmetry(name), trained(kind)
    commands = some(80).commands
    commands = commands[left_alone(commands, by)]
    assert len(commands) >= 10
    words, weights = scan.equizero(model, scan.speak(model, commands, by), loss)
    assert torch.equal(weights, torch.full_like(weights, 1 / by.group.order))
    assert torch.equal(words, scan.say(model, commands, by).words)


@EACH_GROUP
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_sentences_are_equivariant(kind, name):
    """Said to gx, the answer is g times what is said to x."""
    by, model = scan.symmetry(name), trained(kind)
    commands = some(12).commands
    commands = commands[~left_alone(commands, by)]
    rules = {
        "equitune": lambda x: scan.say(model, x, by).words,
        "word by word": lambda x: scan.say(model, x, by, JOINTLY["equizero"][1]).words,
        "certainty": lambda x: scan.equizero(model, scan.speak(model, x, by))[0],
        "surprise": lambda x: scan.equizero(
            model, scan.speak(model, x, by), scan.surprise
        )[0],
    }
    for said in rules.values():
        assert eq.check_equivariance(said, by.commands, by.actions, commands).passed
    plain = eq.check_equivariance(
        lambda x: scan.say(model, x).words, by.commands, by.actions, commands
    )
    assert not plain.passed


# As published, place by place, in plain loops.


def spoken(words):
    """The words of a sentence, its EOS included."""
    words = words.tolist()
    return words[: words.index(EOS) + 1] if EOS in words else words


def slow_published_equitune(branches):
    """Mean of log p over the views, zero where a view has ended; the best word."""
    by, sentences = branches.by, []
    for n in range(len(branches.commands)):
        said = [spoken(words) for words in branches.words[:, n]]
        sentence = []
        for t in range(scan.LONGEST):
            total = torch.zeros(8)
            for g in range(by.group.order):
                if t < len(said[g]):
                    log_p = branches.p[g, n, t].log()[None]
                    total += by.logits.act(int(by.group.inverses[g]), log_p)[0]
            sentence.append(int((total / by.group.order).argmax()))
        sentence = spoken(torch.tensor(sentence))
        sentences.append(sentence + [EOS] * (scan.LONGEST - len(sentence)))
    return torch.tensor(sentences)


def slow_published_equizero(branches):
    """The view of the greatest mean over 50 slots, where an empty one counts 1/8."""
    by, sentences = branches.by, []
    for n in range(len(branches.commands)):
        scores = []
        for g in range(by.group.order):
            length = len(spoken(branches.words[g, n]))
            slots = [float(p.max()) for p in branches.p[g, n, :length]]
            scores.append(sum(slots) + (scan.LONGEST - length) / 8)
        g = max(range(by.group.order), key=lambda g: round(scores[g], 4))
        back = by.actions.act(int(by.group.inverses[g]), branches.words[g, n][None])
        sentences.append(back[0])
    return torch.stack(sentences)


@pytest.mark.parametrize(
    ("rule", "slow"),
    [
        (scan.published_equitune, slow_published_equitune),
        (scan.published_equizero, slow_published_equizero),
    ],
)
@EACH_GROUP
@EACH_CELL
def test_the_published_rules(kind, name, rule, slow):
    branches = branches_of(kind, name, each=4)
    words = rule(branches)
    assert torch.equal(words, slow(branches))
    assert not torch.equal(words, branches.aligned[0])


def test_published_equizero_prefers_long_sentences():
    """A sure short answer loses against an unsure long one; as defined it wins."""
    by = scan.symmetry("Verb")
    words = torch.zeros(2, 1, scan.LONGEST, dtype=torch.long)
    words[0, 0, 0], words[1, 0, :20] = (
        scan.ACTIONS.ids["JUMP"],
        scan.ACTIONS.ids["WALK"],
    )
    p = torch.zeros(2, 1, scan.LONGEST, 8)
    for g, (length, most) in enumerate([(2, 0.99), (21, 0.6)]):
        p[g, 0, :length] = (1 - most) / 7
        p[g, 0, torch.arange(length), words[g, 0, :length]] = most
    branches = scan.Branches(by, scan.COMMANDS.encode(["jump"]), words, p)
    assert scan.ACTIONS.decode(scan.published_equizero(branches)) == [
        " ".join(["WALK"] * 20)
    ]
    clean, weights = scan.equizero(untrained("GRU"), branches)
    assert scan.ACTIONS.decode(clean) == ["JUMP"]
    assert weights[:, 0].tolist() == [1, 0]


# Judging.


def test_judging_is_every_rule():
    model, data, by = trained("LSTM"), some(60, most=8), scan.symmetry("Direction")
    right = scan.judge(model, data, by)
    assert [*right] == [*scan.RULES, *scan.BOUNDS]
    assert len(right) == len(data.commands)
    branches = scan.speak(model, data.commands, by)
    words = {
        "pretrained": scan.say(model, data.commands).words,
        "equitune": scan.say(model, data.commands, by).words,
        "equizero": scan.equizero(model, branches)[0],
        "equitune, published": slow_published_equitune(branches),
        "equizero, published": slow_published_equizero(branches),
    }
    for rule, said in words.items():
        assert right[rule].tolist() == scan.exact_match(said, data.actions).tolist()
    assert 0 < right["pretrained"].mean() < 1
    each = [scan.exact_match(view, data.actions) for view in branches.aligned]
    assert right["any view"].tolist() == (each[0] | each[1]).tolist()
    assert right["random view"].tolist() == ((each[0].long() + each[1]) / 2).tolist()
    assert (right["equizero, published"] <= right["any view"]).all()
    assert (right["random view"] <= right["any view"]).all()


def test_judging_by_name():
    model, data, by = trained("LSTM"), some(3), scan.symmetry("Verb")
    some_rules = ["equizero", "pretrained"]
    right = scan.judge(model, data, by, some_rules)
    assert [*right] == [*some_rules, *scan.BOUNDS]
    every = scan.judge(model, data, by)
    assert right.equals(every[[*right]])
    with pytest.raises(ValueError, match="There is no rule 'equiplus'; there are: "):
        scan.judge(model, data, by, ["equitune", "equiplus"])


def test_every_so_many_pairs():
    data = scan.Data(*(part[:10] for part in some(3)))
    few = scan.every(data, 4)
    assert torch.equal(few.commands, data.commands[[0, 4, 8]])
    assert torch.equal(few.actions, data.actions[[0, 4, 8]])


# What the grammar allows.


@pytest.mark.parametrize(
    ("task", "name", "beyond"),
    [
        ("add_jump", "Verb", "run"),
        ("add_jump", "Verbs", None),
        ("add_jump", "Direction", ""),
        ("around_right", "Direction", "around left"),
        ("around_right", "Verb", ""),
    ],
)
def test_what_a_symmetry_can_reach(task, name, beyond):
    """Every seventh command of the test set, but not those with certain words."""
    test = scan.load_split(task).test[::7]
    found = scan.reachable(task, scan.symmetry(name), scan.tensors(test)[0])
    assert found.dtype == torch.bool
    expected = [beyond is None or beyond not in pair.command for pair in test]
    assert found.tolist() == expected


@pytest.mark.parametrize("task", scan.TASKS)
def test_what_is_trained_on_is_within_reach(task):
    commands, _ = scan.tensors(scan.load_split(task).train[::50])
    assert scan.reachable(task, scan.symmetry("None"), commands).all()
