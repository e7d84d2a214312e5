"""The contract of NamespaceStore: names are unique, updates follow one another, the first to set a value wins."""

import asyncio
from dataclasses import replace

from services.persistence import NamespaceRecord, Store


def namespace(number: int, name: str = "") -> NamespaceRecord:
    name = name or f"name {number}"
    return NamespaceRecord(namespace_id=f"id {number}", name=name, version=1, blob=f"blob {number}".encode())


async def test_a_namespace_is_found_by_id_and_by_name(store: Store) -> None:
    assert await store.create_namespace(namespace(1))
    assert await store.create_namespace(namespace(2))
    assert await store.read_namespace(namespace_id="id 2") == namespace(2)
    assert await store.read_namespace(name="name 1") == namespace(1)
    assert await store.read_namespace(name="id 1") is None
    assert await store.read_namespace(namespace_id="name 1") is None


async def test_a_name_and_an_id_belong_to_whoever_was_first(store: Store) -> None:
    created = await asyncio.gather(*[store.create_namespace(namespace(n, "same")) for n in range(5)])
    assert created.count(True) == 1
    winner = created.index(True)
    assert not await store.create_namespace(namespace(winner, "another name"))
    assert await store.read_namespace(name="same") == namespace(winner, "same")
    assert await store.read_namespace(name="another name") is None


async def test_an_update_must_follow_the_stored_version(store: Store) -> None:
    await store.create_namespace(namespace(1))
    second = replace(namespace(1), version=2, blob=b"second")
    assert await store.update_namespace(second)
    assert not await store.update_namespace(second)
    assert not await store.update_namespace(replace(second, version=4))
    assert not await store.update_namespace(replace(namespace(2), version=2))
    assert await store.read_namespace(name="name 1") == second


async def test_a_rename_frees_the_old_name_and_does_not_take_anothers(store: Store) -> None:
    await store.create_namespace(namespace(1))
    await store.create_namespace(namespace(2))
    assert not await store.update_namespace(replace(namespace(1), version=2, name="name 2"))
    renamed = replace(namespace(1), version=2, name="new")
    assert await store.update_namespace(renamed)
    assert await store.read_namespace(name="new") == renamed
    assert await store.read_namespace(name="name 1") is None
    assert await store.create_namespace(namespace(3, "name 1"))


async def test_namespaces_are_listed_by_id_in_pages(store: Store) -> None:
    for number in (3, 1, 5, 2, 4):
        await store.create_namespace(namespace(number))
    assert await store.list_namespaces("", 2) == [namespace(1), namespace(2)]
    assert await store.list_namespaces("id 2", 2) == [namespace(3), namespace(4)]
    assert await store.list_namespaces("id 4", 2) == [namespace(5)]
    assert await store.list_namespaces("id 5", 2) == []


async def test_the_first_who_asks_sets_a_cluster_value(store: Store) -> None:
    values = await asyncio.gather(*[store.cluster_value("id", f"{n}".encode()) for n in range(5)])
    assert len(set(values)) == 1
    assert await store.cluster_value("id", b"late") == values[0]
    assert await store.cluster_value("shards", b"4") == b"4"
    await store.set_cluster_value("id", b"set")
    await store.set_cluster_value("new", b"new")
    assert await store.cluster_value("id", b"late") == b"set"
    assert await store.cluster_value("new", b"late") == b"new"
