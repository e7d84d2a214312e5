"""The real cluster, used by applications and a steady load, while everything it consists of is killed in turn."""
