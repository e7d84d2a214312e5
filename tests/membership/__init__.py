"""Membership on real ZooKeeper nodes."""
