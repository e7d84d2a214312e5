"""The /metrics endpoint: a small HTTP server in a daemon thread of the serving process."""

import socket
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from services.telemetry.metrics import REGISTRY, Registry

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    """Serves `registry` and the process's own numbers (CPU, memory, files) until `stop`. OSError on a taken port."""

    def __init__(self, host: str, port: int, *, path: str = "/metrics", registry: Registry = REGISTRY) -> None:
        class Handler(_Handler):
            metrics_path = path
            shown = registry

        class Server(ThreadingTCPServer):  # http.server's own would look up this host's name at start
            daemon_threads = True
            allow_reuse_address = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self._server = Server((host, port), Handler)
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        # Not serve_forever: it wakes twice a second to see whether it should stop, and stopping waits for that.
        while not self._stopping:
            self._server.handle_request()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: the port the system chose, when it was given 0."""
        host, port, *_ = self._server.server_address
        return str(host), int(port)

    def stop(self) -> None:
        """Close the port; a scrape under way may be cut off."""
        self._stopping = True
        socket.create_connection(self.address).close()  # wakes the thread
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    metrics_path: str
    shown: Registry

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != self.metrics_path:
            self.send_error(404)
            return
        body = self.shown.text().encode() + _process_text()
        self.send_response(200)
        self.send_header("Content-Type", _CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape leaves no line in the log."""


def _process_text() -> bytes:
    # Imported at the first scrape: it would cost a start 60 ms.
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)
