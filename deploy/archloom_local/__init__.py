"""The whole suite on one machine: real servers as child processes, for a look, for work and for tests."""
