"""Generated from protos/ by script/protos."""
