"""Proxy losses: their values, by hand, and their behaviour at the edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equinb import losses

rows = st.lists(st.floats(-50, 50), min_size=2, max_size=6)


def probabilities(logits):
    p = np.exp(np.array(logits) - max(logits))
    return p / p.sum()


@given(rows)
def test_values_by_hand(row):
    logits = torch.tensor([row, row[::-1]], dtype=torch.float64)
    p = probabilities(row)
    expected = {
        losses.neg_max_prob: -p.max(),
        losses.entropy: -sum(x * math.log(x) for x in p if x > 0),
        losses.neg_max_q: -max(row),
    }
    for loss, value in expected.items():
        assert loss(logits).shape == (2,)
        assert loss(logits).tolist() == pytest.approx([value, value], abs=1e-12)


@given(rows, st.floats(-100, 100))
def test_probabilities_forget_a_common_shift(row, shift):
    logits = torch.tensor([row], dtype=torch.float64)
    for loss in (losses.neg_max_prob, losses.entropy):
        torch.testing.assert_close(
            loss(logits + shift), loss(logits), rtol=0, atol=1e-9
        )


def test_surer_is_better():
    logits = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 9.0]])
    similar = losses.neg_similarity(torch.tensor([[0.0, 1.0]]))
    for loss in (losses.neg_max_prob, losses.entropy, losses.neg_max_q, similar):
        value = loss(logits)
        assert value[2] < value[0] or loss is similar
        assert value[1] < value[0] or loss is similar


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_similarity_is_a_cosine(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    image = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    best = [max(float(i @ t / (i.norm() * t.norm())) for t in text) for i in image]
    loss = losses.neg_similarity(scale * text)
    assert (-loss(scale * image)).tolist() == pytest.approx(best)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_and_masked_logits(dtype):
    logits = torch.tensor([[-torch.inf, 0.0, 0.0], [60.0, 0.0, -60.0]], dtype=dtype)
    expected = {
        losses.neg_max_prob: [-0.5, -1.0],
        losses.entropy: [math.log(2), 0.0],
        losses.neg_max_q: [0.0, -60.0],
    }
    for loss, values in expected.items():
        assert loss(logits).dtype == dtype
        assert loss(logits).tolist() == pytest.approx(values, abs=5e-3)
    text = torch.eye(3)  # of another dtype than the features
    found = losses.neg_similarity(text)(logits[1:])
    assert found.dtype == dtype
    assert found.item() == pytest.approx(-math.sqrt(0.5), abs=5e-3)


@pytest.mark.parametrize(
    "loss",
    [
        losses.neg_max_prob,
        losses.entropy,
        losses.neg_max_q,
        losses.neg_similarity(torch.eye(3)),
    ],
)
def test_gradients_are_finite(loss):
    logits = torch.tensor([[0.0, 1.0, 90.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss(logits).sum().backward()
    assert logits.grad.isfinite().all()


def test_gradient_of_entropy_is_finite_at_a_masked_logit():
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    losses.entropy(logits).sum().backward()
    assert logits.grad.isfinite().all()
