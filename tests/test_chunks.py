"""The fastest chunk, by a clock that the encoder itself moves on."""

import pytest
import torch
from torch import nn

import equinb as eq
from equinb import chunks

G = eq.cyclic(4)


class Clocked(nn.Module):
    """An encoder whose calls take as many seconds as `cost` says for so many views."""

    def __init__(self, cost):
        super().__init__()
        self.cost, self.now, self.seen = cost, 0.0, []

    def forward(self, x):
        self.now += self.cost(len(x))
        self.seen.append(len(x))
        return x.flatten(1)


@pytest.fixture
def clocked(monkeypatch):
    def make(cost, **options):
        encoder = Clocked(cost)
        monkeypatch.setattr(chunks, "perf_counter", lambda: encoder.now)
        return eq.Equitune(encoder, eq.Rot90(G), eq.Trivial(G), **options).eval()

    return make


@pytest.mark.parametrize(
    ("cost", "chunk"),
    [
        (lambda views: 1 + views, None),  # a call costs: as few as possible
        (lambda views: views**2, 8),  # large batches cost: small ones
        (lambda views: views + 100 * (views != 16), 16),  # one size is best: the loop
    ],
)
def test_the_fastest_is_found_and_nothing_is_changed(clocked, cost, chunk):
    f = clocked(cost, chunk=5)
    assert eq.fastest_chunk(f, torch.rand(16, 4, 4)) == chunk
    assert f.chunk == 5


def test_what_is_all_views_anyhow_is_no_candidate(clocked):
    """Of one input four views are all there are: one, or all."""
    f = clocked(lambda views: 1 / views)
    assert eq.fastest_chunk(f, torch.rand(1, 4, 4), rounds=1) is None
    assert set(f.encoder.seen) == {1, 4}


def test_what_does_not_fit_is_out(clocked):
    def cost(views):
        if views > 8:
            raise torch.cuda.OutOfMemoryError("not so many")
        return 1.0

    f = clocked(cost)
    assert eq.fastest_chunk(f, torch.rand(16, 4, 4)) == 8
    with pytest.raises(MemoryError, match="smaller one"):
        eq.fastest_chunk(f, torch.rand(16, 4, 4), (None, 9))


def test_routed_models_have_one_too(clocked):
    f = clocked(float)
    routed = eq.Routed(f.encoder, f.act_in, f.act_out, lambda v: v.mean((1, 2)), k=1)
    assert eq.fastest_chunk(routed.eval(), torch.rand(16, 4, 4)) in (None, 16, 8)


def test_every_candidate_is_called_once_more_than_it_is_timed(clocked):
    f = clocked(float)
    eq.fastest_chunk(f, torch.rand(3, 4, 4), (None, 4), rounds=2)
    assert f.encoder.seen.count(12) == 3
    assert f.encoder.seen.count(4) == 9


def test_one_slow_call_does_not_decide(clocked):
    calls = iter(range(1000))
    f = clocked(lambda views: 1000 if next(calls) == 2 else 1 + views)
    assert eq.fastest_chunk(f, torch.rand(16, 4, 4), (None, 4), rounds=3) is None


def test_the_first_calls_are_not_timed(clocked):
    calls = iter(range(1000))
    f = clocked(lambda views: 1e6 if next(calls) == 0 else 1 + views)
    assert eq.fastest_chunk(f, torch.rand(16, 4, 4), (None, 4), rounds=1) is None


def test_a_model_that_fails_keeps_its_chunk(clocked):
    f = clocked(lambda views: 1 / (views - 4), chunk=7)
    with pytest.raises(ZeroDivisionError):
        eq.fastest_chunk(f, torch.rand(4, 4, 4))
    assert f.chunk == 7


def test_bad_input_is_told():
    f = eq.Equitune(nn.Flatten(), eq.Rot90(G), eq.Trivial(G))
    x = torch.rand(2, 4, 4)
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        eq.fastest_chunk(f, x)
    with pytest.raises(TypeError, match=r"symmetrized model.*Flatten"):
        eq.fastest_chunk(nn.Flatten(), x)
    f.eval()
    with pytest.raises(ValueError, match="one round"):
        eq.fastest_chunk(f, x, rounds=0)
    for chunk in (0, 2.5):
        with pytest.raises(ValueError, match="at least 1, or None"):
            eq.fastest_chunk(f, x, (None, chunk))
    with pytest.raises(ValueError, match="at least one input"):
        eq.fastest_chunk(f, x[:0])


def test_a_model_that_changes_or_remembers_is_told():
    x = torch.rand(2, 4, 4)
    parts = eq.Rot90(G), eq.Trivial(G)
    # Of a bound method the module is found.
    dropout = nn.Dropout()
    with pytest.raises(ValueError, match=r"call eval\(\)"):
        eq.fastest_chunk(eq.Equitune(dropout.forward, *parts).eval(), x)
    cached = eq.Equitune(eq.Cached(nn.Flatten(), size=99), *parts).eval()
    with pytest.raises(ValueError, match="without Cached"):
        eq.fastest_chunk(cached, x)
