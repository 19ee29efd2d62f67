"""Which architectures fit together and keep the constraints, and how they are drawn."""
