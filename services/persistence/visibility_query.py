"""Temporal's list filter: text -> tree. The same for every store; each turns the tree into its own language.

    query     := [or] [GROUP BY name]
    or        := and {OR and}          and  := not {AND not}          not := NOT not | "(" or ")" | predicate
    predicate := name (= != <> < <= > >=) value | name [NOT] IN "(" value {"," value} ")"
               | name [NOT] BETWEEN value AND value | name [NOT] STARTS_WITH value | name IS [NOT] NULL

Texts of errors and their positions are the reference's. It reads the filter as the WHERE clause of an SQL statement of
its own, so its positions count from there, and what is wrong with the syntax comes before what is wrong with a value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, TypeVar

from services.persistence.interface import InvalidQuery, SearchAttributeTypes
from services.persistence.visibility_values import (
    Attribute,
    AttributeType,
    Value,
    attribute,
    check_operator,
    check_range,
    typed,
)

T = TypeVar("T")

# The columns that the reference's `select * from table1 where ` puts before the filter, and its parser reads one ahead.
POSITION_OF_CONDITION = 28
POSITION_OF_CLAUSE = 22  # the same without `where `

# Words that cannot be names unless they are quoted with backticks.
# fmt: off
RESERVED = frozenset((
    "and", "as", "asc", "between", "by", "case", "default", "desc", "distinct", "else", "end", "exists", "false",
    "from", "full", "group", "having", "in", "index", "inner", "insert", "interval", "into", "is", "join", "key",
    "left", "like", "limit", "not", "null", "on", "or", "order", "outer", "regexp", "right", "select", "set",
    "show", "table", "then", "to", "true", "union", "unique", "update", "using", "values", "when", "where", "with",
    "xor",
))
# fmt: on
COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d]\w*)
    |`(?P<quoted>[^`]*)`
    |'(?P<single>(?:[^'\\]|''|\\.)*)'
    |"(?P<double>(?:[^"\\]|""|\\.)*)"
    |(?P<open>['"`])(?P<rest>.*)
    |(?P<sign><=|>=|!=|<>|&&|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a"}


class Kind(Enum):
    """What a token is. KEYWORD and SIGN tokens are told apart by their text."""

    NAME = "name"
    KEYWORD = "keyword"
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"
    BROKEN = "broken"  # a quote without its end
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    end: int  # where in the filter it ends


@dataclass(frozen=True, slots=True)
class Predicate:
    """`attribute operator values`. Values are in the form in which stores hold them (typed)."""

    attribute: Attribute
    operator: str  # = != < <= > >= IN BETWEEN STARTS_WITH "IS NULL"
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


@dataclass(frozen=True, slots=True)
class And:
    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Or:
    left: "Condition"
    right: "Condition"


Condition = Predicate | Not | And | Or

_NOTHING = Predicate(Attribute("", AttributeType.KEYWORD, ""), "IS NULL", ())  # in the place of what was refused


@dataclass(frozen=True, slots=True)
class Query:
    """A filter. No condition: everything. `group_by` matters to counts alone; lists ignore it."""

    condition: Condition | None
    group_by: str = ""


def parse(text: str, types: SearchAttributeTypes) -> Query:
    """Reads a filter. `types`: the search attributes of the namespace. Raises InvalidQuery."""
    return _Parser(text.strip(), types).query()


def tokens(text: str) -> list[Token]:
    found = []
    for match in _TOKEN.finditer(text):
        name, end = match.lastgroup, match.end()
        if name == "space":
            continue
        if name == "word":
            word = match["word"]
            if word.lower() in RESERVED:
                found.append(Token(Kind.KEYWORD, word.lower(), end))
            else:
                found.append(Token(Kind.NAME, word, end))
        elif name == "quoted":
            found.append(Token(Kind.NAME, match["quoted"], end))
        elif name in ("single", "double"):
            found.append(Token(Kind.STRING, _unescape(match[name], "'" if name == "single" else '"'), end))
        elif name == "rest":
            found.append(Token(Kind.BROKEN, match["rest"], end))
        else:
            found.append(Token(Kind.NUMBER if name == "number" else Kind.SIGN, match[0], end))
    found.append(Token(Kind.END, "", len(text)))
    return found


def _unescape(text: str, quote: str) -> str:
    text = text.replace(quote * 2, quote)
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)


class _Parser:
    """Recursive descent. What is wrong but not with the syntax is kept until the end has been reached."""

    def __init__(self, text: str, types: SearchAttributeTypes) -> None:
        self._tokens = tokens(text)
        self._types = types
        self._at = 0
        self._offset = POSITION_OF_CONDITION
        self._refusal: InvalidQuery | None = None

    def query(self) -> Query:
        condition, group_by = None, ""
        if self._is("group", "order", "limit"):
            self._offset = POSITION_OF_CLAUSE
        elif self._token.kind is not Kind.END:
            condition = self._or()
        if self._take("group"):
            self._expect("by")
            group_by = self._group_by()
        if self._take("order"):
            self._expect("by")
            self._refuse("operation is not supported: 'ORDER BY' clause")
            self._at = len(self._tokens) - 1
        if self._take("limit"):
            self._refuse("operation is not supported: 'LIMIT' clause")
            self._at = len(self._tokens) - 1
        self._take(";")
        if self._token.kind is not Kind.END:
            self._syntax_error()
        if self._refusal is not None:
            raise self._refusal
        return Query(condition, group_by)

    def _group_by(self) -> str:
        name = self._name()
        while self._take(","):
            self._name()
            self._refuse("operation is not supported: 'GROUP BY' clause supports only a single field")
        grouped = self._attribute(name)
        if grouped.type is not AttributeType.STATUS:
            self._refuse(f"operation is not supported: 'GROUP BY' clause is not supported for search attribute {name}")
        return grouped.name

    def _or(self) -> Condition:
        left = self._and()
        while self._take("or", "||"):
            left = Or(left, self._and())
        return left

    def _and(self) -> Condition:
        left = self._not()
        while self._take("and", "&&"):
            left = And(left, self._not())
        return left

    def _not(self) -> Condition:
        if self._take("not"):
            return Not(self._not())
        if self._take("("):
            refusal = self._refusal
            inner = self._or()
            self._expect(")")
            if self._take(*COMPARISONS):
                self._refusal = refusal
                self._refuse("invalid expression: must be a column name but was *sqlparser.ParenExpr")
                self._value()
            return inner
        return self._predicate()

    def _predicate(self) -> Condition:
        name = self._left_side()
        if self._take("is"):
            return self._null(self._attribute(name))
        if (sign := self._take(*COMPARISONS)) is not None:
            of = self._attribute(name)
            return self._typed(of, COMPARISONS[sign], (self._value(),))
        negative = self._take("not") is not None
        if self._take("in"):
            of = self._attribute(name)
            return self._typed(of, "IN", self._values(), negative=negative)
        if self._take("between"):
            return self._between(self._attribute(name), negative=negative)
        if self._is_starts_with() or self._is("like", "regexp"):
            self._at += 1
            operator = self._tokens[self._at - 1].text.upper()
            of = self._attribute(name)
            return self._typed(of, operator, (self._value(),), negative=negative)
        if negative or not self._is("and", "or", "&&", "||", ")", "group", "order", "limit", ";", ""):
            self._syntax_error()
        self._refuse("invalid expression: incomplete expression")
        return _NOTHING

    def _null(self, of: Attribute) -> Condition:
        negative = self._take("not")
        if not self._take("null"):
            if not self._take("true", "false"):
                self._syntax_error()
            self._refuse("invalid expression: 'IS' operator can only be used as 'IS NULL' or 'IS NOT NULL'")
        found = Predicate(of, "IS NULL", ())
        return Not(found) if negative else found

    def _between(self, of: Attribute, *, negative: bool) -> Condition:
        self._try(lambda: check_range(of))
        low = self._value()
        self._expect("and")
        values = self._typed_values(of, (low, self._value()))
        found = Predicate(of, "BETWEEN", values)
        return Not(found) if negative else found

    def _is_starts_with(self) -> bool:
        return self._token.kind is Kind.NAME and self._token.text.upper() == "STARTS_WITH"

    def _left_side(self) -> str:
        token = self._token
        if token.kind is Kind.NAME:
            self._at += 1
            if not self._is("(", "+", "-", "*", "/"):
                return token.text
            kind = "FuncExpr" if self._is("(") else "BinaryExpr"
            self._skip_operation()
            self._refuse(f"invalid expression: must be a column name but was *sqlparser.{kind}")
        elif token.kind in (Kind.STRING, Kind.NUMBER):
            self._at += 1
            self._refuse("invalid expression: must be a column name but was *sqlparser.SQLVal")
        elif self._take("true", "false"):
            self._refuse("operation is not supported: expression of type sqlparser.BoolVal")
        elif self._take("!"):
            self._left_side()
            self._refuse("invalid expression: must be a column name but was *sqlparser.UnaryExpr")
        else:
            self._syntax_error()
        return ""

    def _skip_operation(self) -> None:
        """Steps over what follows a name in a call or a sum: only that it is one matters."""
        if self._take("("):
            while not self._take(")"):
                if self._token.kind in (Kind.END, Kind.BROKEN):
                    self._syntax_error()
                self._at += 1
        else:
            self._at += 1
            if self._token.kind not in (Kind.NAME, Kind.NUMBER, Kind.STRING):
                self._syntax_error()
            self._at += 1

    def _values(self) -> tuple[Value, ...]:
        self._expect("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Value:
        sign = self._take("-", "+")
        token = self._token
        if token.kind is Kind.NUMBER:
            self._at += 1
            number = -_number(token.text) if sign == "-" else _number(token.text)
            if self._token.kind is Kind.NAME and self._token.end - len(self._token.text) == token.end:
                self._refuse(f'invalid expression: unable to parse value "{token.text}{self._token.text}"')
                self._at += 1
            return number
        if token.kind is Kind.STRING:
            self._at += 1
            return token.text
        if (word := self._take("true", "false")) is not None:
            return word == "true"
        self._refuse_value(token)
        return ""

    def _refuse_value(self, token: Token) -> None:
        if token.kind is Kind.NAME:
            self._at += 1
            if self._is("("):
                self._skip_operation()
                self._refuse("operation is not supported: nested func")
            self._refuse(
                "operation is not supported: column name on the right side of comparison expression"
                f' (did you forget to quote "{token.text}"?)'
            )
        elif self._take("null"):
            self._refuse("invalid expression: unexpected value type *sqlparser.NullVal")
        elif self._is("("):
            self._skip_operation()
            self._refuse("invalid expression: unexpected value type *sqlparser.ParenExpr")
        else:
            self._syntax_error()

    def _attribute(self, name: str) -> Attribute:
        return self._try(lambda: attribute(name, self._types)) or _NOTHING.attribute

    def _typed(self, of: Attribute, operator: str, values: tuple[Value, ...], *, negative: bool = False) -> Condition:
        values = self._typed_values(of, values)
        self._try(lambda: check_operator(of, f"NOT {operator}" if negative else operator, values))
        found = Predicate(of, operator, values)
        return Not(found) if negative else found

    def _typed_values(self, of: Attribute, values: tuple[Value, ...]) -> tuple[Value, ...]:
        return self._try(lambda: tuple(typed(of, value) for value in values)) or ()

    def _try(self, read: Callable[[], T]) -> T | None:
        """What `read` returns; None when it refuses, which is kept as what is wrong unless there is something already.

        After the first refusal nothing else is asked: the tree will not be used.
        """
        if self._refusal is not None:
            return None
        try:
            return read()
        except InvalidQuery as refusal:
            self._refuse(str(refusal), type(refusal))
            return None

    def _name(self) -> str:
        token = self._token
        if token.kind is not Kind.NAME:
            self._syntax_error()
        self._at += 1
        return token.text

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        token = self._token
        return token.kind in (Kind.KEYWORD, Kind.SIGN, Kind.END) and token.text in texts

    def _take(self, *texts: str) -> str | None:
        """Steps over a keyword or sign if it is one of these."""
        if not self._is(*texts):
            return None
        self._at += 1
        return self._tokens[self._at - 1].text

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            self._syntax_error()

    def _refuse(self, reason: str, kind: type[InvalidQuery] = InvalidQuery) -> None:
        self._refusal = self._refusal or kind(f"invalid query: {reason}")

    def _syntax_error(self) -> NoReturn:
        token = self._token
        near = "" if token.kind in (Kind.SIGN, Kind.END) else f" near '{token.text}'"
        position = self._offset + token.end
        raise InvalidQuery(f"invalid query: malformed SQL query: syntax error at position {position}{near}")


def _number(text: str) -> int | float:
    convert: Callable[[str], int | float] = int if text.isdigit() else float
    return convert(text)
