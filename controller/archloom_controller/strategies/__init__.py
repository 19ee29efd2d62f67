"""The way to strategy plugins: those that are dialled, and those that call in."""
