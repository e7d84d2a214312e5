"""The ZooKeeper section of membership. Perdure's own: the reference server keeps its members in its database."""

from dataclasses import dataclass, field
from datetime import timedelta

from services.config.errors import require


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperTLS:
    """TLS towards ZooKeeper. The server's certificate is always checked; files are read anew for every connection."""

    enabled: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    enable_host_verification: bool = True

    def __post_init__(self) -> None:
        require(bool(self.cert_file) or not self.key_file, "certFile", "", "a file, since keyFile is given")
        require(bool(self.key_file) or not self.cert_file, "keyFile", "", "a file, since certFile is given")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeper:
    """Where the members of a cluster find one another. Clusters that share an ensemble differ in `root`.

    A host that dies is gone from the rings `sessionTimeout` later, at most one tick of ZooKeeper more.
    """

    hosts: str
    root: str = "/perdure"
    session_timeout: timedelta = timedelta(seconds=6)
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ZooKeeperTLS = ZooKeeperTLS()

    def __post_init__(self) -> None:
        for address in self.hosts.split(","):
            host, colon, port = address.strip().rpartition(":")
            plain = bool(host) and not set(host) & set("/ ")
            shaped = plain and bool(colon) and port.isdecimal() and 0 < int(port) <= 65535
            require(shaped, "hosts", self.hosts, "host:port, or several with commas between")
        parts = self.root.split("/")
        named = parts[0] == "" and all(part not in ("", ".", "..") for part in parts[1:]) and len(parts) > 1
        require(named, "root", self.root, "a path such as /perdure")
        seconds = self.session_timeout.total_seconds()
        require(2 <= seconds <= 60, "sessionTimeout", f"{seconds:g}s", "from 2s to 60s")
        require(bool(self.user) or not self.password, "user", "", "a name, since password is given")
