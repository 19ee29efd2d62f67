"""The canonical network of an architecture, and its hash."""
