"""Zero-shot classification with CLIP (section 4.2 and 5.2.1 of the paper)."""
