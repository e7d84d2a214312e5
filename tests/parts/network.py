"""A network on one machine: a bridge, this machine on it, and homes for processes that can be cut off from all others.

Needs root, network namespaces and nft.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from types import TracebackType
from typing import Self

_NETS = 512  # of 256 addresses each, in 198.18.0.0/15, which is for tests like this


class Home:
    """A network namespace with an address of its own. A process lives in it when `command` stands before its own."""

    def __init__(self, network: Network, number: int) -> None:
        self._network = network
        self.ip = f"{network.prefix}.{number}"
        self.name = self._port = f"{network.name}-{number}"

    @property
    def command(self) -> list[str]:
        """Becomes the process itself, so that its id is the process's."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def build(self) -> None:
        _run(f"ip netns add {self.name}")
        _run(f"ip link add {self._port} type veth peer name eth0 netns {self.name}")
        _run(f"ip link set {self._port} master {self._network.name} up")
        _run(f"ip -n {self.name} addr add {self.ip}/24 dev eth0")
        _run(f"ip -n {self.name} link set eth0 up")
        _run(f"ip -n {self.name} link set lo up")

    def tear_down(self) -> None:
        """Harmless when it does not stand; connections end without a word."""
        _run(f"ip netns del {self.name}", check=False)

    def cut(self, *, hears: bool = False, speaks: bool = False) -> None:
        """Drops what comes to it, unless it `hears`, and what it sends, unless it `speaks`."""
        for wall, open_ in (("deaf", hears), ("mute", speaks)):
            if not open_:
                _run(f"nft add element bridge {self._network.name} {wall} {{ {self._port} }}")

    def heal(self) -> None:
        for wall in ("deaf", "mute"):
            _run(f"nft delete element bridge {self._network.name} {wall} {{ {self._port} }}", check=False)


class Network:
    """`ip` is this machine's address on it: who lives in no home listens there."""

    def __init__(self) -> None:
        taken = set(re.findall(r"inet (198\.1[89]\.\d+)\.", _run("ip -4 -o addr")))
        numbers = ((os.getpid() + at) % _NETS for at in range(_NETS))
        self.prefix = next(
            prefix for number in numbers if (prefix := f"198.{18 + number // 256}.{number % 256}") not in taken
        )
        self.ip = f"{self.prefix}.1"
        self.name = f"pd{os.getpid():x}"
        self._numbers = itertools.count(2)
        self._homes: list[Home] = []

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.tear_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tear_down()

    def home(self) -> Home:
        """One more home, built already."""
        home = Home(self, next(self._numbers))
        self._homes.append(home)
        home.build()
        return home

    def tear_down(self) -> None:
        for home in self._homes:
            home.tear_down()
        _run(f"nft delete table bridge {self.name}", check=False)
        _run(f"ip link del {self.name}", check=False)

    def _build(self) -> None:
        _run(f"ip link add {self.name} type bridge")
        _run(f"ip addr add {self.ip}/24 dev {self.name}")
        _run(f"ip link set {self.name} up")
        _run(
            "nft -f -",
            f"table bridge {self.name} {{\n"
            "  set mute { type ifname; }\n"
            "  set deaf { type ifname; }\n"
            "  chain from { type filter hook prerouting priority 0; iifname @mute drop; }\n"
            "  chain to { type filter hook postrouting priority 0; oifname @deaf drop; }\n"
            "}\n",
        )


def _run(command: str, stdin: str = "", *, check: bool = True) -> str:
    done = subprocess.run(command.split(), input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")
    return done.stdout
