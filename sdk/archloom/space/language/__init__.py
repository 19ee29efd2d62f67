"""What a space is made of: the tree of nodes, domains of values, expressions."""
