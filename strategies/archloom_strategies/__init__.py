"""The built-in strategies, plugins like anyone's."""
