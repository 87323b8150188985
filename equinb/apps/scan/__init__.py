"""Compositional generalisation on SCAN."""
