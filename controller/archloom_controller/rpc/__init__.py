"""The edge of the controller: what happens to every call before and after its handler."""
