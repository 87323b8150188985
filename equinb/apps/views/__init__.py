"""Views of images under a group, whatever the model: features once, then any average.

What chapters on images share. Images are tensors as a model's preprocessing leaves
them, `(N, 3, side, side)`; features are `(|G|, N, d)`.
"""
