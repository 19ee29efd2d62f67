"""Spaces, values and graphs as protobuf messages. Imported only where a message is at hand."""
