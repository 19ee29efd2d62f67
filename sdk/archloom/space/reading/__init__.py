"""Spaces as plain data and YAML: read with every fault and its path, and written."""
