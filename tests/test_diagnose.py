"""Subgroups, and what a diagnosis without labels foretells, on tasks that are known."""

import itertools

import pytest
import torch
from cases import C2, C3, C4, D4, GROUPS, S3, S4, all_subgroups, permutation

import equinb as eq
from equinb.diagnosis import KNOWN_BEST, Moved

SHARP = 6.0


def swap(classes):
    """C2 swaps the two halves of the entries."""
    halves = torch.arange(2 * classes).view(2, classes)
    return eq.Permutation(C2, torch.stack([halves, halves.flip(0)]).flatten(1).numpy())


def sample(n, classes=4, seed=0, noise=0.3, both=False):
    """Inputs `(n, 2 classes)` with a signal in the first half, or in either."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint((1 + both) * classes, (n,), generator=random)
    x = noise * torch.randn((n, 2 * classes), generator=random)
    x[torch.arange(n), labels] += 1
    return x, labels


def first_half(x):
    """A model that has learned where the signal is in its own pose."""
    return SHARP * x[:, : x.shape[1] // 2]


def either_half(x):
    return SHARP * x.unflatten(1, (2, -1)).sum(1)


def every_entry(x):
    """A model of twice as many classes: the half matters."""
    return SHARP * x


def accuracy_gain(f, model, act_in, carries, x, labels, seed=0):
    """With labels, on inputs transformed at random; its standard error as well."""
    order = act_in.group.order
    drawn = torch.randint(
        order, (len(x),), generator=torch.Generator().manual_seed(seed)
    )
    shown = act_in.orbit(x)[drawn, torch.arange(len(x))]
    told = torch.as_tensor(carries)[drawn, labels]
    right = [(m(shown).argmax(-1) == told).double() for m in (f, model)]
    gained = right[0] - right[1]
    return float(gained.mean()), float(gained.std()) / len(x) ** 0.5


def one(model, x, act_in, act_out, **options):
    return eq.diagnose(model, x, {"it": (act_in, act_out)}, **options)["it"]


# --- subgroups -----------------------------------------------------------------------

COUNTS = {"C2": 2, "C3": 2, "C4": 3, "D4": 10, "S3": 6, "S4": 30, "C4 x C2": 8}


@pytest.mark.parametrize("name", COUNTS)
def test_there_are_as_many_subgroups_as_known(name):
    G = GROUPS[name]
    found = eq.subgroups(G)
    assert len(found) == COUNTS[name]
    assert len({H.members for H in found}) == len(found)
    orders = [H.order for H in found]
    assert orders == sorted(orders)
    assert all(G.order % order == 0 for order in orders)
    assert (orders[0], orders[-1]) == (1, G.order)


@pytest.mark.parametrize("G", GROUPS.values(), ids=GROUPS)
def test_subgroups_are_those_of_two_generators(G):
    found = eq.subgroups(G)
    assert {H.members for H in found} >= {H.members for H in all_subgroups(G)}
    assert all(H.parent is G for H in found)
    assert found[-1].name == G.name
    assert len({H.name for H in found}) == len(found)


@pytest.mark.parametrize("G", [C4, D4, S3], ids=lambda G: G.name)
def test_subgroups_are_all_closed_sets(G):
    closed = {
        members
        for size in range(1, G.order + 1)
        for members in itertools.combinations(range(G.order), size)
        if {int(G.table[g, h]) for g in members for h in members} <= set(members)
    }
    assert {H.members for H in eq.subgroups(G)} == closed


def test_a_group_that_needs_three_generators():
    cube = eq.direct_product(eq.direct_product(C2, C2), C2)
    orders = [H.order for H in eq.subgroups(cube)]
    assert [orders.count(k) for k in (1, 2, 4, 8)] == [1, 7, 7, 1]
    assert len(eq.lattice(cube)) == 7 + 7 * 3 + 7


@pytest.mark.parametrize(("G", "lines"), [(C4, 2), (S3, 8), (D4, 15)])
def test_lines_of_the_lattice(G, lines):
    assert len(eq.lattice(G)) == lines


@pytest.mark.parametrize("G", [C4, D4, S3, S4], ids=lambda G: G.name)
def test_lines_say_what_lies_in_what_and_no_more(G):
    sets = [set(H.members) for H in eq.subgroups(G)]
    inside = {(i, j) for i, j in itertools.permutations(range(len(sets)), 2)}
    inside = {(i, j) for i, j in inside if sets[i] < sets[j]}
    reached = set(eq.lattice(G))
    for i, j in reached:
        assert not any((i, k) in inside and (k, j) in inside for k in range(len(sets)))
    while True:
        more = {(i, m) for i, j in reached for k, m in reached if j == k}
        if more <= reached:
            break
        reached |= more
    assert reached == inside


# --- gains ---------------------------------------------------------------------------


def test_a_model_that_lacks_it_gains_what_labels_say():
    act, same = swap(4), eq.Trivial(C2)
    found = one(first_half, sample(400)[0], act, same)
    x, labels = sample(4000, seed=1)
    methods = {
        "equitune": eq.Equitune(first_half, act, same),
        "equizero": eq.Equizero(first_half, act, same, loss=eq.losses.neg_max_prob),
    }
    stays = torch.arange(4).repeat(2, 1)
    for method, f in methods.items():
        gain = found.gains[method]
        measured, error = accuracy_gain(f, first_half, act, stays, x, labels)
        assert gain.gain > 0.2
        assert abs(gain.gain - measured) < 4 * (gain.error**2 + error**2) ** 0.5
        assert gain.kept == gain.gain
    assert found.moved == ()
    assert found.applies
    assert found.verdict == f"try {found.best}"


def test_a_model_that_has_it_gains_nothing():
    found = one(either_half, sample(100)[0], swap(4), eq.Trivial(C2))
    assert [gain.gain for gain in found.gains.values()] == [0, 0]
    assert [gain.cost for gain in found.gains.values()] == [0, 0]
    assert found.changed == 0
    assert found.before <= 1e-6
    assert found.verdict == "has it already"


def test_a_task_that_lacks_it_only_loses():
    act, same = swap(4), eq.Trivial(C2)
    found = one(every_entry, sample(600, noise=0.15, both=True)[0], act, same)
    pairs = {(m.element, m.source, m.target) for m in found.moved}
    assert pairs == {("r", k, (k + 4) % 8) for k in range(8)}
    x, labels = sample(4000, seed=1, noise=0.15, both=True)
    f = eq.Equitune(every_entry, act, same)
    measured, error = accuracy_gain(f, every_entry, act, act.perms, x, labels)
    gain = found.gains["equitune"]
    assert gain.gain < -0.3
    assert abs(gain.gain - measured) < 4 * (gain.error**2 + error**2) ** 0.5
    # Without the exception the loss would look smaller than it is.
    assert gain.kept > gain.gain + 0.1
    assert found.verdict == "leave it: it would cost"
    # With the right action on classes nothing is lacking.
    right = one(every_entry, x, act, act)
    assert right.verdict == "has it already"
    assert right.moved == ()


def test_classes_move_along_a_cycle():
    act = eq.Permutation(C3, C3.table)
    x = torch.eye(3).repeat(8, 1)
    found = one(every_entry, x, act, eq.Trivial(C3))
    assert {(m.element, m.source, m.target) for m in found.moved} == {
        (g, k, (k + step) % 3) for g, step in (("r", 1), ("r^2", 2)) for k in range(3)
    }
    # Each view has a class of its own, and one answer for all is right once in three.
    assert found.gains["equitune"].gain == pytest.approx(1 / 3 - 1)


def test_classes_move_elsewhere_than_the_action_says():
    act = eq.Permutation(C3, C3.table)
    backwards = eq.Permutation(C3, C3.table[C3.inverses])
    found = one(every_entry, torch.eye(3).repeat(8, 1), act, backwards)
    for moved in found.moved:
        step = C3.index(moved.element)
        assert moved.target == (moved.source + step) % 3
    assert len(found.moved) == 6
    # The model is right everywhere, a backward average once in three.
    assert found.gains["equitune"].gain == pytest.approx(1 / 3 - 1)


def test_a_class_that_is_not_taken_back_has_not_moved():
    act = swap(3)

    def one_way(x):
        """Turned, class 0 looks like class 1; class 1 looks like itself."""
        a, b = x.unflatten(1, (2, -1)).unbind(1)
        turned = torch.stack([0 * b[:, 0], b[:, 0] + b[:, 1], b[:, 2]], 1)
        return SHARP * (a + turned)

    x, labels = torch.eye(6)[:3].repeat(8, 1), torch.arange(3).repeat(8)
    found = one(one_way, x, act, eq.Trivial(C2))
    assert found.disagreement == {"e": 0, "r": pytest.approx(1 / 3)}
    assert found.moved == ()
    assert (one_way(x).argmax(1) == labels).all()


def test_a_model_that_is_not_sure_moves_nothing():
    x = torch.eye(6)[:, [3, 4, 5, 0, 1, 2]].repeat(8, 1)
    sure = one(every_entry, x, swap(3), eq.Trivial(C2))
    unsure = one(lambda x: 0.1 * every_entry(x), x, swap(3), eq.Trivial(C2))
    assert len(sure.moved) == 6
    assert unsure.moved == ()
    # What is answered is the same: the exception alone makes the difference.
    assert sure.disagreement == unsure.disagreement
    assert sure.gains["equitune"].kept == unsure.gains["equitune"].gain


@pytest.mark.parametrize("G", [C4, D4, S3], ids=lambda G: G.name)
@pytest.mark.parametrize("turned", [0.0, 0.4, 1.0])
def test_gains_are_those_of_a_slow_reference(G, turned):
    act = permutation(G)
    random = torch.Generator().manual_seed(0)
    weight = torch.randn((act.size, act.size), generator=random)
    x = torch.rand((50, act.size), generator=random)

    def model(x):
        return x @ weight.T

    found = one(model, x, act, act, turned=turned)
    assert found.moved == ()
    f = eq.Equitune(model, act, act)
    z = eq.Equizero(model, act, act, loss=eq.losses.neg_max_prob)
    own = torch.nn.functional.one_hot(model(x).argmax(-1), act.size)
    changed = dict.fromkeys(G.elements, 0.0)
    for method, way in (("equitune", f), ("equizero", z)):
        total = 0.0
        for g, name in enumerate(G.elements):
            likely = turned / G.order + (1 - turned) * (g == G.identity)
            label = act(g, own).argmax(-1)
            gx = act(g, x)
            hit = (model(gx).argmax(-1) == label).double().mean()
            changed[name] = 1 - float(hit)
            total += likely * float((way(gx).argmax(-1) == label).double().mean() - hit)
        assert found.gains[method].gain == pytest.approx(total, abs=1e-9)
    assert found.disagreement == pytest.approx(changed)
    for H in eq.subgroups(G)[1:]:
        rest = [changed[name] for name in H.elements if name != G.elements[G.identity]]
        assert found.by_subgroup[H.name] == pytest.approx(sum(rest) / len(rest))


def test_inputs_that_come_untouched_have_nothing_to_gain():
    x = sample(200, noise=0.5)[0]
    never, half, always = (
        one(first_half, x, swap(4), eq.Trivial(C2), turned=t).gains["equitune"]
        for t in (0, 0.5, 1)
    )
    assert never.gain == -never.cost
    assert never.gain <= 0
    assert half.gain == pytest.approx((never.gain + always.gain) / 2)


def test_where_all_poses_are_known_alike_it_cannot_say():
    random = torch.Generator().manual_seed(0)
    weight = torch.randn((4, 8), generator=random)
    x = torch.randn((400, 8), generator=random)
    found = one(lambda x: x @ weight.T, x, swap(4), eq.Trivial(C2))
    assert abs(found.pose - 0.5) < 0.1
    assert not found.applies
    assert found.verdict == "cannot say: no pose is known best"
    known = one(first_half, sample(400)[0], swap(4), eq.Trivial(C2))
    assert known.pose > KNOWN_BEST


def test_a_few_inputs_move_no_class():
    for n, moved in ((7, 0), (8, 6)):
        x = torch.eye(6).repeat(n, 1)
        found = one(every_entry, x, swap(3), eq.Trivial(C2))
        assert len(found.moved) == moved


# --- how it is called ----------------------------------------------------------------


def test_a_head_after_the_average_and_chunks():
    x, act, same = sample(60)[0], swap(4), eq.Trivial(C2)
    whole = one(first_half, x, act, same)
    cut = one(lambda x: x[:, :4], x, act, same, head=lambda h: SHARP * h, chunk=7)
    assert cut.gains == whole.gains
    assert cut.disagreement == whole.disagreement
    assert cut.pose == whole.pose


def test_lambda_is_tried_where_there_is_one():
    x, act, same = sample(60)[0], swap(4), eq.Trivial(C2)
    assert set(one(first_half, x, act, same).gains) == {"equitune", "equizero"}
    even = one(first_half, x, act, same, net=lambda h: h[:, 0] * 0)
    assert even.gains["lambda-equitune"] == even.gains["equitune"]

    def upright(x):
        return 50 * (x[:, :4].amax(1) - x[:, 4:].amax(1))

    best = one(first_half, x, act, same, net=upright, of="inputs")
    assert best.best == "lambda-equitune"


def test_the_proxy_loss_is_that_of_equizero():
    x, act, same = sample(60)[0], swap(4), eq.Trivial(C2)
    worst = one(first_half, x, act, same, loss=lambda p: -eq.losses.neg_max_prob(p))
    assert (
        worst.gains["equizero"].gain
        < one(first_half, x, act, same).gains["equizero"].gain
    )
    assert worst.pose < 0.5


def test_errors_before_and_after():
    found = one(first_half, sample(40)[0].double(), swap(4), eq.Trivial(C2))
    x = sample(40)[0].double()[:8]
    report = eq.check_equivariance(first_half, swap(4), eq.Trivial(C2), x)
    assert found.before == report.error > 0.1
    assert found.after < 1e-9


def test_nothing_is_random_nor_changed():
    x = sample(60)[0].requires_grad_()
    kept = x.detach().clone()
    state = torch.random.get_rng_state()
    a, b = (one(first_half, x, swap(4), eq.Trivial(C2)) for _ in range(2))
    assert a == b
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert x.grad is None


def test_one_input_has_no_standard_error():
    x = torch.tensor([[1.0, 0, 0, 0, 0, 0.2, 0, 0]])
    found = one(first_half, x, swap(4), eq.Trivial(C2))
    assert found.gains["equitune"].gain == 0.5
    assert found.gains["equitune"].error == float("inf")
    assert found.verdict == "leave it: nothing to gain"


def test_the_report():
    act = swap(1)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(8, 1)
    pairs = {"swap": (act, eq.Trivial(C2)), "both": (act, act)}
    found = eq.diagnose(every_entry, x, pairs, classes="69", turned=0.5)
    assert str(found).splitlines() == [
        "Expected gain in accuracy, from 16 unlabelled inputs, if 50% come "
        "transformed:",
        "symmetry  |G|  changed  pose  equitune      equizero      verdict",
        "swap      2    1.00     1.00  -0.50 ± 0.06  -0.50 ± 0.06  "
        "leave it: it would cost",
        "both      2    0.00     1.00  +0.00 ± 0.00  +0.00 ± 0.00  has it already",
        "swap: r takes 6 to 9, 9 to 6: the task seems to lack it.",
    ]
    assert found["swap"].moved[0] == Moved("r", 0, 1, pytest.approx(0.9975, abs=1e-3))
    with pytest.raises(KeyError):
        found["mirror"]


def test_the_report_names_a_few_moves():
    x = torch.eye(8).repeat(8, 1)
    text = str(eq.diagnose(every_entry, x, {"it": (swap(4), eq.Trivial(C2))}))
    assert "r takes class 0 to class 4, " in text
    assert text.endswith(", and 3 more: the task seems to lack it.")


ACTS = {"it": (swap(4), eq.Trivial(C2))}


@pytest.mark.parametrize(
    ("x", "candidates", "options", "error", "says"),
    [
        ([[1.0]], ACTS, {}, TypeError, "takes a torch tensor; got list"),
        (torch.empty(0, 8), ACTS, {}, ValueError, "at least one input; got none"),
        (torch.rand(2, 8), {}, {}, ValueError, "at least one candidate; got none"),
        (torch.rand(2, 8), [ACTS], {}, TypeError, "maps a name to two .*; got list"),
        (torch.rand(2, 8), {"it": swap(4)}, {}, TypeError, "'it' must be a pair"),
        (torch.rand(2, 8), {"it": (1, 2)}, {}, TypeError, "An action is needed"),
        (
            torch.rand(2, 8),
            {"it": (swap(4), eq.Trivial(C3))},
            {},
            ValueError,
            "must be of one group",
        ),
        (torch.rand(2, 8), ACTS, {"turned": 1.5}, ValueError, "share .* got 1.5"),
        (torch.rand(2, 8), ACTS, {"turned": torch.nan}, ValueError, "share"),
    ],
)
def test_what_cannot_be_diagnosed(x, candidates, options, error, says):
    with pytest.raises(error, match=says):
        eq.diagnose(first_half, x, candidates, **options)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda x: x[:, 0], r"got shape \(5,\)"),
        (lambda x: x[:, :1], r"got shape \(5, 1\)"),
        (lambda x: x.unflatten(1, (2, 4)), r"got shape \(5, 2, 4\).*give the head"),
        (lambda x: x / 0, "finite logits"),
    ],
)
def test_outputs_that_are_no_logits(model, says):
    with pytest.raises(ValueError, match=says):
        eq.diagnose(model, torch.rand(5, 8), ACTS)
