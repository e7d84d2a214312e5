"""Who owns what in a real cluster, and what its clients see of changes of owners."""
