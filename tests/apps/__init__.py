"""Three applications written with the official Python SDK, as its users would write them, and their tests."""
