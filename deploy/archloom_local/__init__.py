"""The whole suite on one machine: real servers as child processes, for a first look, for development and for tests."""
