"""Values of search attributes, against their types and limits. The texts are the reference's."""

import pytest
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.workflowservice.v1 import DescribeNamespaceResponse

from services.config import DynamicConfig
from services.namespaces import Namespace, complete_search_attributes, why_invalid_search_attributes
from services.persistence import NamespaceRecord

FIELDS = ("Text01", "Keyword01", "Int01", "Double01", "Bool01", "Datetime01", "KeywordList01")


def namespace() -> Namespace:
    described = DescribeNamespaceResponse()
    for field in FIELDS:
        described.config.custom_search_attribute_aliases[field] = field.removesuffix("01")
    return Namespace.of(
        NamespaceRecord(namespace_id="id", name="default", version=1, blob=described.SerializeToString())
    )


def json(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def why_invalid(overrides: dict[str, object] | None = None, /, **payloads: Payload) -> str | None:
    attributes = SearchAttributes(indexed_fields=payloads)
    return why_invalid_search_attributes(attributes, namespace(), DynamicConfig(overrides=overrides, env={}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Keyword", '"x"'),
        ("Keyword", '["x"]'),
        ("Keyword", "[]"),
        ("Keyword", "null"),
        ("Text", '"x y"'),
        ("Int", "-7"),
        ("Int", "9223372036854775807"),
        ("Double", "1.5"),
        ("Double", "1"),
        ("Bool", "true"),
        ("Datetime", '"2024-02-03T04:05:06.789Z"'),
        ("Datetime", '"2024-02-03T04:05:06+01:00"'),
        ("KeywordList", '["a", "b"]'),
    ],
)
def test_values_that_fit(name: str, text: str) -> None:
    assert why_invalid(**{name: json(text)}) is None


@pytest.mark.parametrize(
    ("name", "payload", "shown"),
    [
        ("Keyword", json("7"), "7"),
        ("Keyword", json('["a", "b"]'), "[a b]"),
        ("Int", json("1.5"), "1.5"),
        ("Int", json("true"), "true"),
        ("Int", json("9223372036854775808"), "9.223372036854776e+18"),  # no store could hold it
        ("Double", json("1e400"), 'value from <metadata:{key:"encoding"  value:"json/plain"}  data:"1e400">'),
        ("Double", json("NaN"), 'value from <metadata:{key:"encoding"  value:"json/plain"}  data:"NaN">'),
        ("Int", json('"x"'), "x"),
        ("Bool", json('"yes"'), "yes"),
        ("Datetime", json('"yes"'), "yes"),
        ("KeywordList", json("[1]"), "[1]"),
        ("KeywordList", json('"a"'), "a"),
        ("Keyword", json('{"b": 1, "a": null}'), "map[a:<nil> b:1]"),
        ("Keyword", Payload(metadata={"encoding": b"binary/plain"}, data=b"abc"), "[97 98 99]"),
        ("Keyword", Payload(), "value from <>"),
        ("Keyword", json("{"), 'value from <metadata:{key:"encoding"  value:"json/plain"}  data:"{">'),
    ],
)
def test_values_that_do_not_fit(name: str, payload: Payload, shown: str) -> None:
    assert why_invalid(**{name: payload}) == f"invalid value for search attribute {name} of type {name}: {shown}"


def test_names() -> None:
    x = json('"x"')
    assert why_invalid(Unheard=x) == "Namespace default has no mapping defined for search attribute Unheard"
    assert why_invalid(Keyword01=x) == "Namespace default has no mapping defined for search attribute Keyword01"
    assert why_invalid(RunId=x) == "RunId attribute can't be set in SearchAttributes"
    assert why_invalid(TemporalChangeVersion=json('["x"]')) is None


def test_limits() -> None:
    assert why_invalid(Keyword=json(f'"{"x" * 2047}"')) == (
        "search attribute Keyword value size 2049 exceeds size limit 2048"
    )
    assert why_invalid({"frontend.searchAttributesNumberOfKeysLimit": 1}, Keyword=json('"x"'), Int=json("1")) == (
        "number of search attributes 2 exceeds limit 1"
    )
    total = why_invalid({"frontend.searchAttributesTotalSizeLimit": 10}, Keyword=json('"x"'))
    assert total is not None
    assert total.endswith("exceeds size limit 10")


def test_types_are_written_where_none_is() -> None:
    attributes = SearchAttributes(indexed_fields={"Int": json("1"), "Bool": json("true")})
    attributes.indexed_fields["Bool"].metadata["type"] = b"Tea"
    complete_search_attributes(attributes, namespace())
    assert attributes.indexed_fields["Int"].metadata["type"] == b"Int"
    assert attributes.indexed_fields["Bool"].metadata["type"] == b"Tea"
