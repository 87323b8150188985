"""The sequence-to-sequence network and its training, each against a slow reference."""

import copy
from dataclasses import replace

import pytest
import torch
from scan_cases import (
    EOS,
    GROUPS,
    SOS,
    actions_on,
    joined,
    next_word,
    some,
    trained,
    untrained,
)
from torch.nn.functional import pad

import equinb as eq
from equinb.apps import scan
from equinb.apps.scan import training
from equinb.apps.scan.training import Look, batches, generator

EACH_CELL = pytest.mark.parametrize("kind", scan.CELLS)
SMALL = scan.Recipe(batch=16, pairs=160, learning_rate=1e-3, looks=1)


def few(n=60, most=8):
    """Pairs of all lengths, short enough to train on."""
    return scan.Data(*(part[:n] for part in some(20, most)))


def sets():
    return training.Sets(few(), few(20), few(20))


# The network.


@EACH_CELL
def test_told_the_words_or_step_by_step(kind):
    model, (commands, actions) = trained(kind), some(4)
    memory, state = model.encode(commands)
    last = torch.full_like(commands[:, 0], SOS)
    for t, log_p in enumerate(model(commands, actions).unbind(1)):
        now, state = model.step(last, state, memory)
        torch.testing.assert_close(now, log_p)
        last = actions[:, t]


@EACH_CELL
def test_its_own_words_or_step_by_step(kind):
    model, commands = trained(kind), some(4).commands
    log_p = model.run(commands, 20)
    own = log_p.argmax(-1)
    assert len(own.unique()) > 3
    torch.testing.assert_close(model(commands, own), log_p)


@EACH_CELL
def test_distributions(kind):
    p = untrained(kind)(*some(2)).exp()
    assert p.shape[1:] == (49, 8)
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]))


@EACH_CELL
def test_padding_changes_nothing(kind):
    """Fewer columns, more columns, and longer neighbours."""
    model = trained(kind, torch.float64)
    commands, actions = some(3)
    words = (commands != EOS).sum(1)
    together = model(commands, actions)
    wider = model(pad(commands, (0, 5), value=EOS), actions)
    torch.testing.assert_close(wider, together)
    for n in words.unique().tolist():
        rows = words == n
        alone = model(commands[rows, : n + 1], actions[rows])
        torch.testing.assert_close(alone, together[rows])


@EACH_CELL
def test_only_words_are_looked_at(kind):
    memory, _ = untrained(kind).encode(some(2).commands)
    words = (some(2).commands != EOS).sum(1)
    seen = memory.penalties[..., 0].softmax(1) > 0
    assert torch.equal(seen.sum(1), words + 1)
    assert seen[:, 0].all()


@EACH_CELL
def test_every_word_matters(kind):
    """The encoder reads in both directions, the decoder hears the last word."""
    model = untrained(kind)
    x, y = some(1).commands[-1:], some(1).actions[-1:]
    before = model(x, y)
    for place in range(9):
        other = x.clone()
        other[0, place] = (other[0, place] + 1) % 13 + 1
        assert not torch.allclose(model(other, y)[:, 0], before[:, 0])
    said = y.clone()
    said[0, 3] = SOS
    after = model(x, said)
    assert torch.equal(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4], before[:, 4])


@EACH_CELL
def test_every_parameter_is_in_one_half(kind):
    model = untrained(kind)
    encoder, decoder = model.encoder_and_decoder
    ids = [id(p) for p in encoder + decoder]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    assert {id(p) for p in model.encoder.parameters()} < {id(p) for p in encoder}
    assert {id(p) for p in model.cell.parameters()} < {id(p) for p in decoder}


@EACH_CELL
def test_dropout_in_train_mode_alone(kind):
    model, data = untrained(kind), some(1)
    assert torch.equal(model(*data), model(*data))
    assert not torch.equal(model.train()(*data), model(*data))


def test_unknown_cells():
    with pytest.raises(ValueError, match="one of LSTM, GRU, RNN; got 'gru'"):
        scan.Seq2Seq("gru")


# The next word, symmetrized by the core.


def symmetrized(model, by, dtype):
    """The next word under every method."""
    torch.manual_seed(0)
    lam = torch.nn.Linear(len(scan.ACTIONS), 1, dtype=dtype)
    p, on = next_word(model), actions_on(by)
    return [
        eq.Equitune(p, *on),
        eq.Equizero(p, *on, loss=lambda p: -p.amax(-1)),
        eq.LambdaEquitune(p, *on, lam),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", GROUPS)
@EACH_CELL
def test_the_next_word_is_equivariant_once_symmetrized(kind, name, dtype):
    by, model = scan.symmetry(name), untrained(kind, dtype)
    commands, actions = some(4)
    on = actions_on(by)
    for told in (0, 3):
        x = joined(commands, actions[:, :told])
        assert eq.check_action(on[0], x).passed
        plain = eq.check_equivariance(next_word(model), *on, x)
        assert not plain.passed
        assert plain.error > 1e-3
        for method in symmetrized(model, by, dtype):
            assert eq.check_equivariance(method, *on, x).passed


# The loss of a sentence.


def slow_loss(model, command, actions, forced):
    """One sentence, word by word; and whether the model ended it too soon."""
    memory, state = model.encode(command[None])
    last, total = SOS, 0.0
    for right in actions.tolist():
        log_p, state = model.step(torch.tensor([last]), state, memory)
        total -= float(log_p[0, right])
        guess = int(log_p.argmax())
        if EOS in (guess, right):
            return total, guess == EOS != right
        last = right if forced else guess
    raise AssertionError("a right sentence ends")


@pytest.mark.parametrize("forced", [True, False])
@EACH_CELL
def test_the_loss_of_a_sentence(kind, forced):
    model = trained(kind, torch.float64)
    data = some(10)
    found = scan.sentence_losses(model, *data, forced)
    slow = [slow_loss(model, *pair, forced) for pair in zip(*data, strict=True)]
    losses = torch.tensor([loss for loss, _ in slow], dtype=torch.float64)
    early = torch.tensor([ended for _, ended in slow])
    torch.testing.assert_close(found, losses)
    assert 0 < early.sum() < len(early)


@pytest.mark.parametrize("forced", [True, False])
@EACH_CELL
def test_a_batch_is_its_sentences(kind, forced):
    model, data = trained(kind), some(6)
    together = scan.sentence_losses(model, *data, forced)
    alone = [
        scan.sentence_losses(model, x[None], y[None], forced)
        for x, y in zip(*data, strict=True)
    ]
    torch.testing.assert_close(together.mean(), torch.cat(alone).mean())
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_what_is_said_after_the_end_does_not_count():
    """A model that is sure of EOS pays for the first word, and for no other."""
    model = copy.deepcopy(untrained("GRU"))
    with torch.no_grad():
        model.out.bias[EOS] += 100
    commands, actions = some(3)
    for forced in (True, False):
        first = -model(commands, actions)[:, 0].gather(1, actions[:, :1])[:, 0]
        found = scan.sentence_losses(model, commands, actions, forced)
        torch.testing.assert_close(found, first)


# Training.


def weights(model):
    return torch.cat([p.flatten() for p in model.state_dict().values()])


def pretrained(seed=0, recipe=SMALL, kind="GRU"):
    return weights(scan.pretrain(kind, sets(), seed, recipe))


@EACH_CELL
def test_the_same_seed_trains_the_same_model(kind):
    first = pretrained(3, kind=kind)
    torch.randn(7)
    assert torch.equal(pretrained(3, kind=kind), first)
    assert not torch.equal(pretrained(4, kind=kind), first)


def per_word(model, commands, actions):
    """The negative log-likelihood of a right word, its sentence's EOS included."""
    log_p = model(commands, actions).gather(-1, actions[..., None])[..., 0]
    counts = pad(actions[:, :-1] != EOS, (1, 0), value=True)
    return -log_p[counts].mean()


@EACH_CELL
def test_the_loss_falls(kind):
    data = few(200, most=10)
    assert per_word(trained(kind), *data) < 0.7 * per_word(untrained(kind), *data)


def test_what_pretraining_returns():
    model = scan.pretrain("RNN", sets(), 0, SMALL)
    assert not model.training
    assert model.kind == "RNN"
    assert all(p.requires_grad for p in model.parameters())


def test_the_best_state_is_kept():
    model, scores, states = untrained("GRU"), iter([0.1, 0.7, 0.7, 0.3]), []
    model.requires_grad_(True)

    def validate():
        states.append(weights(model).clone())
        return next(scores)

    def losses(*batch):
        return scan.sentence_losses(model, *batch)

    recipe = replace(SMALL, looks=4)
    training.fit(model, losses, validate, few(), 0, recipe)
    assert torch.equal(weights(model), states[1])
    assert not torch.equal(states[1], states[2])


@pytest.mark.parametrize(
    ("batch", "pairs", "looks", "seen"),
    [
        (16, 160, 1, [160]),
        (16, 160, 5, [32, 64, 96, 128, 160]),
        (16, 160, 4, [48, 80, 128, 160]),
        (10, 40, 3, [20, 30, 40]),
        (64, 10, 3, [10]),
    ],
)
def test_looks_are_evenly_spread(batch, pairs, looks, seen):
    found = []
    recipe = scan.Recipe(batch, pairs, 1e-3, looks=looks)
    scan.pretrain("RNN", sets(), 0, recipe, found.append)
    assert [look.pairs for look in found] == seen
    assert all(isinstance(look, Look) and 0 <= look.validation <= 1 for look in found)


def watch(monkeypatch):
    """The learning rate of every step of Adam, and the norm of its gradient."""
    rates, norms = [], []

    class Watched(torch.optim.Adam):
        def step(self, closure=None):
            (group,) = self.param_groups
            rates.append(group["lr"])
            norms.append(torch.cat([p.grad.flatten() for p in group["params"]]).norm())
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    return rates, norms


@pytest.mark.parametrize("decay", [True, False])
def test_the_learning_rate(monkeypatch, decay):
    rates, _ = watch(monkeypatch)
    recipe = scan.Recipe(16, 64, 0.1, decay)
    scan.pretrain("RNN", sets(), 0, recipe)
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025] if decay else [0.1] * 4)


def test_gradients_are_clipped_in_halves(monkeypatch):
    """To 5 each, so that both together have a norm of 5 times the root of 2."""
    _, norms = watch(monkeypatch)
    model = untrained("LSTM").requires_grad_(True)

    def losses(*batch):
        return 1e4 * scan.sentence_losses(model, *batch)

    training.fit(model, losses, lambda: 0.0, few(), 0, SMALL)
    assert norms == pytest.approx([50**0.5] * 10, rel=1e-3)


def coins(seed, steps=200):
    """Which batches are told the right words."""
    tossed = []
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.zeros(()))
    model.encoder_and_decoder = [], [model.weight]

    def losses(commands, actions, forced):
        tossed.append(forced)
        return model.weight.expand(len(commands))

    recipe = scan.Recipe(1, steps, 1e-3, looks=1)
    training.fit(model, losses, lambda: 0.0, few(), seed, recipe)
    return tossed


def test_half_of_the_batches_are_told_the_words():
    tossed = coins(0)
    assert 80 <= sum(tossed) <= 120
    assert coins(0) == tossed != coins(1)


@pytest.mark.parametrize(
    ("batch", "pairs", "sizes"),
    [(16, 100, {16: 6, 4: 1}), (1, 70, {1: 70}), (64, 4096, {64: 64}), (64, 5, {5: 1})],
)
def test_batches_hold_as_many_pairs_as_the_recipe_says(batch, pairs, sizes):
    recipe = scan.Recipe(batch, pairs, 1e-3)
    drawn = list(batches(few(), recipe, generator(0, "order")))
    assert {n: [len(rows) for rows in drawn].count(n) for n in sizes} == sizes
    assert sum(map(len, drawn)) == pairs
    assert torch.cat(drawn).max() < 60


def test_batches_are_of_like_length_and_in_no_order():
    data = some(100)
    words = (data.commands != EOS).sum(1)
    recipe = scan.Recipe(32, 32 * training.DRAWN, 1e-3)
    drawn = list(batches(data, recipe, generator(0, "order")))
    spreads = [int(words[rows].max() - words[rows].min()) for rows in drawn]
    assert sum(spread > 1 for spread in spreads) <= 2
    means = torch.tensor([float(words[rows].float().mean()) for rows in drawn])
    assert not torch.equal(means, means.sort().values)
    again = list(batches(data, recipe, generator(0, "order")))
    assert all(map(torch.equal, drawn, again))
    other = list(batches(data, recipe, generator(1, "order")))
    assert not torch.equal(
        torch.cat(drawn).sort().values, torch.cat(other).sort().values
    )


def test_the_division_has_random_numbers_of_its_own():
    drawn = {
        torch.rand((), generator=generator(seed, what)).item()
        for seed in scan.SEEDS
        for what in ("division", "order")
    }
    assert len(drawn) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 0},
        {"pairs": 0},
        {"looks": 0},
        {"batch": -1},
        {"learning_rate": 0.0},
        {"learning_rate": -1e-3},
        {"learning_rate": float("nan")},
    ],
)
def test_recipes_refuse_nonsense(change):
    with pytest.raises(ValueError, match="A recipe needs a batch, pairs, looks and"):
        replace(scan.BATCHED, **change)


# The sets.


def keys(data):
    """Pairs as tuples of ids, sorted."""
    return sorted(map(tuple, torch.cat(data, 1).tolist()))


@pytest.mark.parametrize("task", scan.TASKS)
def test_a_fifth_is_held_back(task):
    split = scan.load_split(task)
    found = scan.load_sets(task, seed=1)
    assert len(found.validation.commands) == len(split.train) // 5
    whole = scan.Data(*map(torch.cat, zip(found.train, found.validation, strict=True)))
    assert keys(whole) == keys(scan.tensors(split.train))
    assert all(map(torch.equal, found.test, scan.tensors(split.test)))
    again, other = (scan.load_sets(task, seed=seed) for seed in (1, 2))
    for name in ("train", "validation"):
        assert all(map(torch.equal, getattr(found, name), getattr(again, name)))
        assert keys(getattr(found, name)) != keys(getattr(other, name))


def test_what_is_held_back_is_not_learnt():
    found = scan.load_sets("around_right", seed=0)
    assert not set(keys(found.train)) & set(keys(found.validation))


@pytest.mark.parametrize("train", [True, False])
def test_accuracy_is_a_share_and_leaves_the_mode(train):
    model = copy.deepcopy(trained("LSTM"))
    data = few(40)
    right = scan.exact_match(scan.say(model, data.commands).words, data.actions)
    assert 0 < right.sum() < 40
    model.train(train)
    assert scan.accuracy(model, data) == pytest.approx(int(right.sum()) / 40)
    assert model.training == train
