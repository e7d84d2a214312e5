"""The ZooKeeper section of membership: what it says by default, and what it refuses."""

from datetime import timedelta

import pytest

from services.config import ConfigError, dump, parse

FILE = """
persistence:
  numHistoryShards: 4
  defaultStore: s
  datastores: {s: {sql: {pluginName: sqlite, databaseName: a.db}}}
global:
  membership:
    broadcastAddress: 10.0.0.1
"""


def test_without_the_section_a_process_is_its_own_cluster() -> None:
    membership = parse(FILE, {}).global_.membership
    assert membership.broadcast_address == "10.0.0.1"
    assert membership.zookeeper is None


def test_the_section_is_read_and_its_password_is_not_shown() -> None:
    section = "zookeeper: {hosts: '${ZK}', root: /perdure/eu, sessionTimeout: 8s, user: u, password: geheim}"
    config = parse(f"{FILE}    {section}", {"ZK": "z1:2181, z2:2181"})
    zookeeper = config.global_.membership.zookeeper
    assert zookeeper is not None
    assert zookeeper.hosts == "z1:2181, z2:2181"
    assert zookeeper.root == "/perdure/eu"
    assert zookeeper.session_timeout == timedelta(seconds=8)
    assert zookeeper.password == "geheim"
    assert "geheim" not in dump(config)
    assert "geheim" not in repr(config)


def test_hosts_suffice() -> None:
    zookeeper = parse(f"{FILE}    zookeeper: {{hosts: 'z:2181'}}", {}).global_.membership.zookeeper
    assert zookeeper is not None
    assert (zookeeper.root, zookeeper.session_timeout) == ("/perdure", timedelta(seconds=6))
    assert not zookeeper.tls.enabled


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{}", "f.yaml:9: global.membership.zookeeper.hosts: found nothing, expected a value: the key is required"),
        ("{hosts: ''}", "zookeeper.hosts: found '', expected host:port"),
        ("{hosts: z1}", "zookeeper.hosts: found 'z1', expected host:port"),
        ("{hosts: 'z1:2181,z2'}", "zookeeper.hosts: found 'z1:2181,z2', expected host:port"),
        ("{hosts: 'z1:2181/chroot'}", "zookeeper.hosts: found 'z1:2181/chroot', expected host:port"),
        ("{hosts: 'z1:70000'}", "zookeeper.hosts: found 'z1:70000', expected host:port"),
        ("{hosts: 'z:1', root: perdure}", "zookeeper.root: found 'perdure', expected a path such as /perdure"),
        ("{hosts: 'z:1', root: /}", "zookeeper.root: found '/', expected a path"),
        ("{hosts: 'z:1', root: /a//b}", "zookeeper.root: found '/a//b', expected a path"),
        ("{hosts: 'z:1', sessionTimeout: 1s}", "zookeeper.sessionTimeout: found '1s', expected from 2s to 60s"),
        ("{hosts: 'z:1', password: p}", "zookeeper.user: found '', expected a name, since password is given"),
        ("{hosts: 'z:1', tls: {certFile: c}}", "zookeeper.tls.keyFile: found '', expected a file, since certFile"),
        ("{hosts: 'z:1', timeout: 6s}", "zookeeper.timeout: found an unknown key, expected"),
    ],
)
def test_a_mistake_names_its_key(section: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"{FILE}    zookeeper: {section}", {}, "f.yaml")
    assert message in str(caught.value)
