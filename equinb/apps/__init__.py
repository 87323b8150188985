"""The applications, one file a chapter. Each loads what it needs, and only then."""
