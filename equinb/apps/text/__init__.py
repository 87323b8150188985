"""Fairness in generated text: words that a group swaps, decoding that respects it."""
