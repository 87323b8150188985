"""Actions: against plain loops, as homomorphisms, and on every subgroup."""

import numpy as np
import pytest
import torch
from cases import (
    ALL,
    C2,
    C2_S3,
    C3,
    C4,
    COLOURS,
    D4,
    DTYPES,
    GROUPS,
    S3,
    S4,
    all_subgroups,
    inverse_by_search,
    permutation,
    permutation_matrices,
    plane,
    points,
    signed,
    skewed,
    words,
)
from hypothesis import given
from hypothesis import strategies as st

import equinb as eq

seeds = st.integers(0, 10_000)
EXACT = [case for case in ALL if not isinstance(case.act_in, eq.Matrix)]


def close(a, b):
    assert a.shape == b.shape
    torch.testing.assert_close(
        a, b, rtol=0, atol=1e-5 if a.dtype != torch.float64 else 1e-12
    )
    return True


# --- every action -------------------------------------------------------------------


@given(st.sampled_from(ALL), seeds, st.data())
def test_act_is_a_homomorphism(case, seed, data):
    G, act = case.group, case.act_in
    g, h = (data.draw(st.integers(0, G.order - 1)) for _ in range(2))
    x = case.inputs(2, torch.float64, seed)
    assert close(act(g, act(h, x)), act(G.product(g, h), x))
    assert close(act(G.identity, x), x)


@pytest.mark.parametrize("dtype", DTYPES)
@given(case=st.sampled_from(ALL), seed=seeds)
def test_orbit_and_undo_are_the_loop(case, dtype, seed):
    G, act = case.group, case.act_in
    x = case.inputs(3, dtype, seed)
    views = act.orbit(x)
    assert views.shape == (G.order, *x.shape)
    assert views.dtype == x.dtype
    assert close(views, torch.stack([act(g, x) for g in range(G.order)]))
    assert close(act.undo(views), x.expand_as(views))
    # What `undo` gets need not be an orbit.
    y = torch.stack([case.inputs(3, dtype, seed + 1 + g) for g in range(G.order)])
    back = [act(inverse_by_search(G, g), y[g]) for g in range(G.order)]
    assert close(act.undo(y), torch.stack(back))


@pytest.mark.parametrize("case", EXACT, ids=lambda case: f"{case.group.name} {case}")
def test_exact_actions_lose_no_bit(case):
    x = torch.rand(2, *case.shape, dtype=torch.float64)
    x = x if not case.vocabulary else case.inputs(2, torch.float64)
    report = eq.check_action(case.act_in, x)
    assert report.passed
    assert report.error == 0.0


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.group.name} {case}")
def test_the_batch_is_left_alone(case):
    x = case.inputs(4, torch.float64, 3)
    kept = x.clone()
    views = case.act_in.orbit(x)
    assert torch.equal(x, kept)
    order = torch.tensor([2, 0, 3, 1])
    assert close(case.act_in.orbit(x[order]), views[:, order])
    spread = torch.stack([x, x], dim=-1)[..., 0]  # a view that is not contiguous
    assert close(case.act_in.orbit(spread), views)


@pytest.mark.parametrize("act", [signed(D4), skewed(S3), permutation(S4), plane()])
def test_gradients_flow_through_orbits(act):
    x = torch.randn(2, act.size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(act.orbit, x)
    assert torch.autograd.gradcheck(lambda x: act.undo(act.orbit(x) ** 2), x)


# --- each action, by hand ------------------------------------------------------------


@pytest.mark.parametrize("G", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("dim", [1, 2, -1, -2])
def test_permutation_moves_entry_i_to_p_i(G, dim):
    p = points(G)
    shape = [2, 5, 5]
    shape[dim] = p.shape[1]
    x = torch.rand(shape)
    for g in range(G.order):
        moved = permutation(G, dim)(g, x)
        for i, j in enumerate(p[g]):
            assert torch.equal(moved.select(dim, int(j)), x.select(dim, i))


@pytest.mark.parametrize("act", [signed(C4), signed(D4), signed(S4), plane()])
def test_signed_permutation_is_its_matrix(act):
    G, x = act.group, torch.rand(3, act.size, dtype=torch.float64)
    R = torch.stack(
        [act(g, torch.eye(act.size, dtype=x.dtype)).T for g in range(G.order)]
    )
    assert set(R.abs().unique().tolist()) == {0.0, 1.0}
    assert (R == -1).any()
    as_matrix = eq.Matrix(G, R)
    assert close(act.orbit(x), as_matrix.orbit(x))
    assert close(act.undo(act.orbit(x) ** 3), as_matrix.undo(act.orbit(x) ** 3))


def test_signs_are_given_before_the_move():
    turn = eq.SignedPermutation(
        C4,
        [[0, 1], [1, 0], [0, 1], [1, 0]],
        [[1, 1], [1, -1], [-1, -1], [-1, 1]],
    )
    x = torch.tensor([[3.0, 4.0]])
    assert turn("r", x).tolist() == [[-4.0, 3.0]]
    assert turn("r^2", x).tolist() == [[-3.0, -4.0]]
    assert turn(0, torch.tensor([[3, 4]])).dtype == torch.int64


@pytest.mark.parametrize("dim", [1, 2])
def test_matrix_multiplies_one_axis(dim):
    act = eq.Matrix(S3, permutation_matrices(S3), dim=dim)
    x = torch.rand(2, 3, 3)
    assert close(act.orbit(x), permutation(S3, dim).orbit(x))
    assert not torch.allclose(skewed(S3).orbit(x), permutation(S3).orbit(x))


def test_rot90_turns_and_mirrors_by_hand():
    x = torch.tensor([[[1, 2], [3, 4]]])
    turn = eq.Rot90(D4)
    by_hand = {
        "e": [[1, 2], [3, 4]],
        "r": [[2, 4], [1, 3]],
        "r^2": [[4, 3], [2, 1]],
        "r^3": [[3, 1], [4, 2]],
        "s": [[2, 1], [4, 3]],
        "r s": [[1, 3], [2, 4]],
        "r^2 s": [[3, 4], [1, 2]],
        "r^3 s": [[4, 2], [3, 1]],
    }
    assert {g: turn(g, x)[0].tolist() for g in D4.elements} == by_hand
    for n in (1, 2, 4):
        step = 4 // n
        turned = eq.Rot90(eq.cyclic(n)).orbit(x)
        assert torch.equal(turned, turn.orbit(x)[:4:step])
        both = eq.Rot90(eq.dihedral(n)).orbit(x)
        assert torch.equal(both, turn.orbit(x)[::step])


def test_half_turns_take_images_that_are_not_square():
    x = torch.rand(2, 3, 4, 6)
    for G in (C2, eq.dihedral(2), eq.dihedral(1)):
        assert eq.check_action(eq.Rot90(G), x).passed


def test_rot90_knows_a_mirror_from_a_half_turn():
    x = torch.rand(1, 3, 3)
    mirror = D4.subgroup("s")
    assert mirror == C2
    assert torch.equal(eq.Rot90(mirror)("s", x), x.flip(-1))
    for generators in (["r s"], ["r^2", "s"], ["r^2", "r s"], ["r^2 s"]):
        with pytest.raises(ValueError, match="restrict"):
            eq.Rot90(D4.subgroup(*generators))


def test_flip_mirrors_its_axis():
    x = torch.rand(2, 3, 4)
    assert torch.equal(eq.Flip(C2, -2)("r", x), x.flip(1))
    reversed_names = eq.FiniteGroup("C2", ("r", "e"), [[1, 0], [0, 1]])
    flip = eq.Flip(reversed_names)
    assert torch.equal(flip("e", x), x)
    assert torch.equal(flip("r", x), x.flip(-1))


@pytest.mark.parametrize("G", [C3, S3, D4])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_relabel_maps_every_id(G, dtype):
    table = words(G)
    x = torch.randint(table.shape[1], (2, 7)).to(dtype)
    for g in range(G.order):
        y = eq.Relabel(G, table)(g, x)
        assert y.dtype == dtype
        assert y.tolist() == [[table[g][t] for t in row] for row in x.tolist()]


def test_relabel_and_permutation_belong_together():
    # One-hot rows of g x are the rows of x, moved by g.
    table = words(S3)
    x = torch.randint(5, (2, 4))
    one_hot = torch.nn.functional.one_hot
    for g in range(6):
        moved = eq.Permutation(S3, table)(g, one_hot(x, 5))
        assert torch.equal(one_hot(eq.Relabel(S3, table)(g, x), 5), moved)


def test_trivial_orbit_takes_no_memory():
    x = torch.rand(2, 3)
    views = eq.Trivial(S4).orbit(x)
    assert views.shape == (24, 2, 3)
    assert views.data_ptr() == x.data_ptr()
    assert eq.Trivial(S4).undo(views) is views


# --- made of others ------------------------------------------------------------------


def test_product_does_both():
    x = torch.rand(2, 2, 3, 3)
    for g, h in ((1, 0), (0, 1), (3, 1)):
        by_hand = torch.rot90(x, g, (-2, -1))
        by_hand = by_hand.flip(1) if h else by_hand
        assert torch.equal(COLOURS(g * 2 + h, x), by_hand)
    assert COLOURS.group == eq.direct_product(C4, C2)
    triple = eq.Product(COLOURS, eq.Trivial(S3))
    assert eq.check_action(triple, x).passed
    assert triple.group.order == 48


def test_product_of_actions_that_do_not_commute_is_found():
    both = eq.Product(eq.Rot90(C4), eq.Flip(C2))
    assert not eq.check_action(both, torch.rand(1, 3, 3)).passed


@pytest.mark.parametrize("H", all_subgroups(D4), ids=lambda H: H.name)
def test_restriction_to_every_subgroup(H):
    x = torch.rand(2, 1, 4, 4)
    for action in (eq.Rot90(D4), eq.Trivial(D4)):
        kept = action.restrict(H)
        assert eq.check_action(kept, x).passed
        for name in H.elements:
            assert torch.equal(kept(name, x), action(name, x))
    f = eq.Equitune(
        torch.nn.Conv2d(1, 1, 3, padding=1).double(),
        eq.Rot90(D4).restrict(H),
        eq.Rot90(D4).restrict(H),
    )
    report = eq.check_equivariance(f, f.act_in, f.act_out, x.double())
    assert report.passed
    assert list(report.errors) == list(H.elements)


def test_restriction_of_a_restriction():
    H = D4.subgroup("r^2", "s")
    K = H.subgroup("r^2 s")
    x = torch.rand(1, 3, 3)
    twice = eq.Rot90(D4).restrict(H).restrict(K)
    assert torch.equal(twice("r^2 s", x), x.flip(-2))
    product = eq.Product(eq.Trivial(C2), permutation(S3))
    H = C2_S3.subgroup("(e, (0 1 2))")
    assert eq.check_action(product.restrict(H), torch.rand(2, 3)).passed


@pytest.mark.parametrize("perms", [list, tuple, np.array, torch.tensor])
def test_perms_from_any_container(perms):
    swap = eq.Permutation(C2, perms([[0, 1], [1, 0]]))
    assert swap("r", torch.tensor([[1, 2]])).tolist() == [[2, 1]]


def test_repr_names_action_and_group():
    assert repr(COLOURS) == "Product(Rot90(C4), Permutation(C2))"
    H = D4.subgroup("s")
    assert repr(eq.Rot90(D4).restrict(H)) == "Rot90(D4).restrict(<s>)"
