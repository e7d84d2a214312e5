"""The API gateway: every call is checked as the reference checks it, completed with defaults, and handed on."""

from services.frontend.backends import Backends, ClusterFacts
from services.frontend.table import methods

__all__ = ["Backends", "ClusterFacts", "methods"]
