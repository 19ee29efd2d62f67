"""Data sets with fixed splits: read-only arrays, the test part sealed."""
