"""Hello world whose payloads the server cannot read."""
