"""The ``table`` evaluator: results that somebody measured already, looked up in a CSV file."""
