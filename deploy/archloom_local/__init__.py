"""The embedded stack: the whole suite on one machine."""
