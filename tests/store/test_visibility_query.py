"""What is wrong with a filter, in the reference's words. Every text here was recorded from the official server."""

import pytest

from services.persistence import InvalidQuery
from services.persistence.visibility_query import And, Not, Or, Predicate, Query, parse

QUOTE = "operation is not supported: column name on the right side of comparison expression (did you forget to quote "
COLUMN = "invalid expression: must be a column name but was *sqlparser."
TYPE = "invalid expression: invalid value type for search attribute "
SYNTAX = "malformed SQL query: syntax error at position "
REFUSALS = {
    "WorkflowId = full": SYNTAX + "45 near 'full'",
    "WorkflowId == 'full'": SYNTAX + "41",
    "WorkflowId =": SYNTAX + "40",
    "= 'a'": SYNTAX + "29",
    "AND": SYNTAX + "31 near 'and'",
    "(WorkflowId = 'full'": SYNTAX + "48",
    "WorkflowId = 'full')": SYNTAX + "48",
    "WorkflowId = 'full": SYNTAX + "46 near 'full'",
    "WorkflowId = 'full' AND": SYNTAX + "51",
    "WorkflowId = 'full' WorkflowType = 'T'": SYNTAX + "60 near 'WorkflowType'",
    "WorkflowId = 'full' XOR WorkflowId = 'empty'": SYNTAX + "51 near 'xor'",
    "WorkflowId = 'a' 'b'": SYNTAX + "48 near 'b'",
    "WorkflowId IN ()": SYNTAX + "44",
    "WorkflowId IN 'full'": SYNTAX + "48 near 'full'",
    "WorkflowId IN ('full',)": SYNTAX + "51",
    "WorkflowId IS 'full'": SYNTAX + "48 near 'full'",
    "SELECT * FROM x": SYNTAX + "34 near 'select'",
    "Key = 'a'": SYNTAX + "31 near 'key'",
    "GROUP BY": SYNTAX + "30",
    "WorkflowId": "invalid expression: incomplete expression",
    "WorkflowId # 'full'": "invalid expression: incomplete expression",
    "'full' = WorkflowId": COLUMN + "SQLVal",
    "1 = 1": COLUMN + "SQLVal",
    "WorkflowId + 1 = 5": COLUMN + "BinaryExpr",
    "my-attr = 'a'": COLUMN + "BinaryExpr",
    "lower(WorkflowId) = 'full'": COLUMN + "FuncExpr",
    "! WorkflowId = 'full'": COLUMN + "UnaryExpr",
    "(WorkflowId) = 'full'": COLUMN + "ParenExpr",
    "true": "operation is not supported: expression of type sqlparser.BoolVal",
    "WorkflowId = lower('FULL')": "operation is not supported: nested func",
    "WorkflowId = ('full')": "invalid expression: unexpected value type *sqlparser.ParenExpr",
    "WorkflowId = WorkflowType": QUOTE + '"WorkflowType"?)',
    "WorkflowId = `WorkflowType`": QUOTE + '"WorkflowType"?)',
    "WorkflowId IN ('full', closed)": QUOTE + '"closed"?)',
    "WorkflowId BETWEEN 'a' AND b": QUOTE + '"b"?)',
    "WorkflowId = 0x10": 'invalid expression: unable to parse value "0x10"',
    "CloseTime = null": "invalid expression: unexpected value type *sqlparser.NullVal",
    "CloseTime IS TRUE": "invalid expression: 'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'",
    "WorkflowId LIKE 'f%'": (
        "operation is not supported: operator 'LIKE' not supported for Keyword type search attribute 'WorkflowId'"
    ),
    "WorkflowId = 'full' ORDER BY StartTime": "operation is not supported: 'ORDER BY' clause",
    "ORDER BY StartTime": "operation is not supported: 'ORDER BY' clause",
    "WorkflowId = 'full' LIMIT 5": "operation is not supported: 'LIMIT' clause",
    "GROUP BY WorkflowType": (
        "operation is not supported: 'GROUP BY' clause is not supported for search attribute WorkflowType"
    ),
    "GROUP BY ExecutionStatus, WorkflowType": (
        "operation is not supported: 'GROUP BY' clause supports only a single field"
    ),
    "WorkflowId = 5": TYPE + "WorkflowId of type Keyword: 5 (type: int64)",
    "WorkflowId STARTS_WITH 5": TYPE + "WorkflowId of type Keyword: 5 (type: int64)",
    "HistoryLength = '2'": TYPE + 'HistoryLength of type Int: "2" (type: string)',
    "StartTime > 1.5": TYPE + "StartTime of type Datetime: 1.5 (type: float64)",
    "StartTime > true": TYPE + "StartTime of type Datetime: true (type: bool)",
    "ExecutionStatus = true": TYPE + "ExecutionStatus of type Keyword: true (type: bool)",
    "StartTime > '2026-01-01'": "invalid expression: unable to parse datetime '2026-01-01'",
    "ExecutionStatus = 'running'": "invalid expression: invalid ExecutionStatus value 'running'",
    "ExecutionStatus = 99": "invalid expression: invalid ExecutionStatus value 99",
    "ExecutionStatus = 1.5": ("invalid expression: unexpected value type float64 for search attribute ExecutionStatus"),
    "ExecutionDuration < 'foo'": (
        "invalid expression: invalid duration value for search attribute ExecutionDuration: foo"
    ),
    "ExecutionDuration < 5.5": (
        "invalid expression: unexpected value type float64 for search attribute ExecutionDuration"
    ),
}


@pytest.mark.parametrize(("query", "reason"), REFUSALS.items())
def test_refusals(query: str, reason: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse(query)
    assert str(refused.value) == f"invalid query: {reason}"


def test_not_binds_tighter_than_and_and_and_tighter_than_or() -> None:
    a, b, c = (Predicate(name, "=", (1,)) for name in "abc")
    assert parse("a = 1 or not b = 1 and c = 1") == Query(Or(a, And(Not(b), c)))
    assert parse("(a = 1 || b = 1) && c = 1;") == Query(And(Or(a, b), c))


def test_system_attributes_come_in_the_form_in_which_stores_hold_them() -> None:
    values = parse("StartTime = '1970-01-01T00:00:01.5Z' AND ExecutionStatus = 'TimedOut' -- a comment").condition
    assert values == And(Predicate("StartTime", "=", (1_500_000_000,)), Predicate("ExecutionStatus", "=", (7,)))
    assert parse("ExecutionDuration = '-1h30m'").condition == Predicate("ExecutionDuration", "=", (-5_400_000_000_000,))
    assert parse("ExecutionDuration = '1d'").condition == Predicate("ExecutionDuration", "=", (86_400_000_000_000,))


def test_an_empty_filter_has_no_condition() -> None:
    assert parse("") == parse(" \n") == Query(None)
