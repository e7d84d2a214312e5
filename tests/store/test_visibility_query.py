"""What is wrong with a filter, in the reference's words. Every text here was recorded from the official server."""

import pytest

from services.persistence import InvalidQuery
from services.persistence.visibility_query import And, Condition, Not, Or, Predicate, Query, parse
from services.persistence.visibility_values import Value, attribute
from tests.store.builders import TYPES

QUOTE = "operation is not supported: column name on the right side of comparison expression (did you forget to quote "
COLUMN = "invalid expression: must be a column name but was *sqlparser."
TYPE = "invalid expression: invalid value type for search attribute "
OPERATOR = "operation is not supported: operator "
RANGE = "invalid expression: cannot do range condition on search attribute "
SYNTAX = "malformed SQL query: syntax error at position "
REFUSALS = {
    "WorkflowId = full": SYNTAX + "45 near 'full'",
    "WorkflowId == 'full'": SYNTAX + "41",
    "WorkflowId =": SYNTAX + "40",
    "  WorkflowId =  ": SYNTAX + "40",
    "WorkflowId = 'full' AND   ": SYNTAX + "51",
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
    "WorkflowId = 'a'; x": SYNTAX + "47 near 'x'",
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
    "Unheard = 'x'": "invalid search attribute: Unheard",
    "Unheard IS NULL": "invalid search attribute: Unheard",
    "Unheard = x": "invalid search attribute: Unheard",
    "Unheard BETWEEN x AND y": "invalid search attribute: Unheard",
    "GROUP BY Unheard": "invalid search attribute: Unheard",
    "word = 'x'": "invalid search attribute: word",
    "WorkflowId = 5 AND Unheard = 5": TYPE + "WorkflowId of type Keyword: 5 (type: int64)",
    "Unheard = 5 AND WorkflowId = 5": "invalid search attribute: Unheard",
    "TemporalWorkflowId = 5": TYPE + "TemporalWorkflowId of type Keyword: 5 (type: int64)",
    "Word = 1.5": TYPE + "Word of type Keyword: 1.5 (type: float64)",
    "Story = true": TYPE + "Story of type Text: true (type: bool)",
    "Story STARTS_WITH 5": TYPE + "Story of type Text: 5 (type: int64)",
    "Story = ' '": "invalid expression: no tokens found filtering on Text type search attribute Story",
    "Story > 'a'": OPERATOR + "'>' not supported for Text type search attribute 'Story'",
    "Story NOT IN ('a')": OPERATOR + "'NOT IN' not supported for Text type search attribute 'Story'",
    "Story BETWEEN x AND y": RANGE + "'Story' of type Text",
    "List = 5": TYPE + "List of type KeywordList: 5 (type: int64)",
    "List <= 'x'": OPERATOR + "'<=' not supported for KeywordList type search attribute 'List'",
    "List NOT STARTS_WITH 'x'": OPERATOR
    + "'NOT STARTS_WITH' not supported for KeywordList type search attribute 'List'",
    "List BETWEEN 'a' AND 'b'": RANGE + "'List' of type KeywordList",
    "Number = '5'": TYPE + 'Number of type Int: "5" (type: string)',
    "Number IN (5, true)": TYPE + "Number of type Int: true (type: bool)",
    "Number STARTS_WITH 5": OPERATOR + "'STARTS_WITH' not supported for Int type search attribute 'Number'",
    "Double = 'x'": TYPE + 'Double of type Double: "x" (type: string)',
    "Flag = 1": TYPE + "Flag of type Bool: 1 (type: int64)",
    "Flag BETWEEN true AND 5": RANGE + "'Flag' of type Bool",
    "Time = 1.5": TYPE + "Time of type Datetime: 1.5 (type: float64)",
    "Time = '2024-01-01'": "invalid expression: unable to parse datetime '2024-01-01'",
    "Time LIKE '2024-01-01T00:00:00Z'": OPERATOR + "'LIKE' not supported for Datetime type search attribute 'Time'",
    "Word NOT REGEXP 'a'": OPERATOR + "'NOT REGEXP' not supported for Keyword type search attribute 'Word'",
    "ExecutionDuration STARTS_WITH '1h'": (
        OPERATOR + "'STARTS_WITH' not supported for Int type search attribute 'ExecutionDuration'"
    ),
    "ExecutionStatus STARTS_WITH 'Running'": (
        'invalid expression: right-hand side of "starts_with" operator must be a literal string (got: Running)'
    ),
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
        parse(query, TYPES)
    assert str(refused.value) == f"invalid query: {reason}"


def read(text: str) -> Condition | None:
    return parse(text, TYPES).condition


def equal(name: str, value: Value) -> Predicate:
    return Predicate(attribute(name, TYPES), "=", (value,))


def test_not_binds_tighter_than_and_and_and_tighter_than_or() -> None:
    a, b, c = equal("Number", 1), equal("Double", 1), equal("HistoryLength", 1)
    assert read("Number = 1 or not Double = 1 and HistoryLength = 1") == Or(a, And(Not(b), c))
    assert read("(Number = 1 || Double = 1) && HistoryLength = 1;") == And(Or(a, b), c)


def test_values_come_in_the_form_in_which_stores_hold_them() -> None:
    both = And(equal("StartTime", 1_500_000_000), equal("ExecutionStatus", 7))
    assert read("StartTime = '1970-01-01T00:00:01.5Z' AND ExecutionStatus = 'TimedOut' -- a comment") == both
    assert read("Time = '1970-01-01T01:00:00+01:00'") == equal("Time", 0)
    assert read("ExecutionDuration = '-1h30m'") == equal("ExecutionDuration", -5_400_000_000_000)
    assert read("ExecutionDuration = '1d'") == equal("ExecutionDuration", 86_400_000_000_000)


def test_an_empty_filter_has_no_condition() -> None:
    assert parse("", {}) == parse(" \n", {}) == Query(None)
