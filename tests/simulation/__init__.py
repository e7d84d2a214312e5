"""The whole cluster in one process, driven by a seed: docs/simulation.md says what is simulated and how to replay.

The hosts run as they are, from `services.host` down to the store's interface; what is replaced lies below them: time,
chance, gRPC's channels and servers, ZooKeeper's connections and the database.
"""
