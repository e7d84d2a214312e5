"""Telemetry as its users meet it: a real Prometheus, an OpenTelemetry collector, the reference server's families."""
