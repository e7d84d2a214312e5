"""The public gRPC server: bytes in, bytes out, one table of methods, errors as the API writes them."""

from services.rpc.server.health import Health
from services.rpc.server.internal import InternalServer, served
from services.rpc.server.method import Method, about_nobody
from services.rpc.server.server import AddressInUse, Server

__all__ = ["AddressInUse", "Health", "InternalServer", "Method", "Server", "about_nobody", "served"]
