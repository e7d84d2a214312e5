"""The API gateway: every call is checked as the reference checks it, completed with defaults, and handed on."""

from services.frontend.backends import Backends, ClusterFacts
from services.frontend.table import OPERATOR_SERVICE, WORKFLOW_SERVICE, methods

__all__ = ["OPERATOR_SERVICE", "WORKFLOW_SERVICE", "Backends", "ClusterFacts", "methods"]
