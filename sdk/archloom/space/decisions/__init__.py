"""The decisions of a space: compiled from the tree, drawn, counted, described, encoded."""
