"""Clouds of points, turned by any rotation: canonical-lambda-equitune (section 3.2)."""
