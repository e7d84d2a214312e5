"""The carriers between services."""
