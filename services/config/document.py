"""A YAML document to and from frozen dataclasses: types decide, and every mistake names its key and line.

A field `grpc_port` is the key `grpcPort`; `named("bindOnIP", ...)` declares a key this rule does not give.
"""

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from services.config.duration import format_duration, parse_duration
from services.config.errors import ConfigError, nearest

T = TypeVar("T")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")
_SECRETS = {"password", "keyData"}
_KINDS = {"!!map": "a mapping", "!!seq": "a list", "!!null": "nothing", "!!bool": "a boolean"}


def named(key: str, default: Any) -> Any:
    """A dataclass field whose key in the file is `key`."""
    return field(default=default, metadata={"key": key})


def outside_the_file(default: Any) -> Any:
    """A dataclass field that the command line sets and no file can."""
    return field(default=default, metadata={"key": None})


def _key_of(item: "Field[Any]") -> str | None:
    """A field's key in the file; None when it has none."""
    if "key" in item.metadata:
        key: str | None = item.metadata["key"]
        return key
    head, *tail = item.name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _short_tag(node: yaml.Node) -> str:
    return node.tag.replace("tag:yaml.org,2002:", "!!")


class Document:
    """One parsed YAML text. Scalars have `${NAME}` and `${NAME:-default}` filled in from `env`."""

    def __init__(self, text: str, env: Mapping[str, str], source: str = "") -> None:
        self._source, self._env = source, env
        self._loader = yaml.SafeLoader(text)
        try:
            self._root: yaml.Node | None = self._loader.get_single_node()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error)
            line = mark.line + 1 if mark else 0
            raise ConfigError("", problem, "a YAML document", source=source, line=line) from None
        self._visited: set[int] = set()
        if self._root is not None:
            self._substitute(self._root, "")

    def decode(self, into: type[T]) -> T:
        """The whole document as one dataclass; an empty document gives its defaults."""
        root = self._root or yaml.MappingNode("tag:yaml.org,2002:map", [], None, None)
        result: T = self._dataclass(root, into, "")
        return result

    def plain(self) -> Any:
        """The whole document as plain dicts, lists and scalars."""
        return None if self._root is None else self._plain(self._root, "")

    def _mistake(self, node: yaml.Node, path: str, found: str, expected: str) -> ConfigError:
        line = node.start_mark.line + 1 if node.start_mark else 0
        return ConfigError(path, found, expected, source=self._source, line=line)

    def _wrong(self, node: yaml.Node, path: str, expected: str) -> ConfigError:
        if isinstance(node, yaml.ScalarNode) and node.value:
            return self._mistake(node, path, repr(node.value), expected)
        return self._mistake(node, path, _KINDS.get(_short_tag(node), "''"), expected)

    def _substitute(self, node: yaml.Node, path: str) -> None:
        """Fill in variables; a scalar that had one is typed by what it became."""
        if id(node) in self._visited:  # an alias
            return
        self._visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._substitute(value, f"{path}.{key.value}" if path else str(key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._substitute(value, f"{path}[{index}]")
        elif isinstance(node, yaml.ScalarNode) and "${" in node.value:

            def look_up(match: "re.Match[str]") -> str:
                name, has_default, default = match.groups()
                value = self._env.get(name, "")
                if value or has_default:
                    return value or default
                if name in self._env:
                    return ""
                raise self._mistake(node, path, f"${{{name}}}, which is not set", "an environment variable that is set")

            node.value = _VARIABLE.sub(look_up, node.value)
            node.tag = self._loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]  # untyped in the stubs

    def _entries(self, node: yaml.Node, path: str) -> dict[str, yaml.Node]:
        """The keys of a mapping, each once. Merge keys (`<<`) are applied."""
        if _short_tag(node) == "!!null":
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, path, "a mapping")
        seen: dict[str, yaml.Node] = {}
        own = [(key, value) for key, value in node.value if _short_tag(key) != "!!merge"]
        for key, value in own:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, path, "a key that is text")
            if key.value in seen:
                raise self._mistake(key, f"{path}.{key.value}" if path else key.value, "a second value", "the key once")
            seen[key.value] = value
        if len(own) != len(node.value):
            self._loader.flatten_mapping(node)
            seen = {key.value: value for key, value in node.value}
        return seen

    def _dataclass(self, node: yaml.Node, into: Any, path: str) -> Any:
        hints = get_type_hints(into)
        known = {key: item for item in fields(into) if (key := _key_of(item)) is not None}
        values: dict[str, Any] = {}
        for key, value in self._entries(node, path).items():
            where = f"{path}.{key}" if path else key
            if key not in known:
                guess = nearest(key, known)
                hint = f"{guess!r} perhaps" if guess else "one of " + ", ".join(sorted(known))
                raise self._mistake(value, where, "an unknown key", hint)
            values[known[key].name] = self._value(value, hints[known[key].name], where)
        for key, item in known.items():
            if item.name not in values and item.default is MISSING and item.default_factory is MISSING:
                where = f"{path}.{key}" if path else key
                raise self._mistake(node, where, "nothing", "a value: the key is required")
        try:
            return into(**values)
        except ConfigError as error:  # from the class's own __post_init__, which knows only its own keys
            where = ".".join(part for part in (path, error.key) if part)
            raise self._mistake(node, where, error.found, error.expected) from None

    def _value(self, node: yaml.Node, into: Any, path: str) -> Any:
        origin, arguments = get_origin(into), get_args(into)
        if into is Any:
            return self._plain(node, path)
        if origin in (Union, types.UnionType):  # only `X | None` is used
            return None if _short_tag(node) == "!!null" else self._value(node, arguments[0], path)
        if _short_tag(node) == "!!null" and origin is tuple:
            return ()
        if is_dataclass(into):
            return self._dataclass(node, into, path)
        if origin is tuple:
            if not isinstance(node, yaml.SequenceNode):
                raise self._wrong(node, path, "a list")
            return tuple(self._value(item, arguments[0], f"{path}[{i}]") for i, item in enumerate(node.value))
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {
                key: self._value(value, arguments[1], f"{path}.{key}" if path else key)
                for key, value in self._entries(node, path).items()
            }
        return self._scalar(node, into, path)

    def _scalar(self, node: yaml.Node, into: Any, path: str) -> Any:
        tag = _short_tag(node)
        if into is str:
            if isinstance(node, yaml.ScalarNode):  # 007 is text where text is expected
                return "" if tag == "!!null" else node.value
            raise self._wrong(node, path, "a string")
        if get_origin(into) is Literal:
            text = "" if tag == "!!null" else node.value
            if text not in get_args(into):
                raise self._wrong(node, path, "one of " + ", ".join(name or "''" for name in get_args(into)))
            return text
        if into is timedelta:
            try:
                return parse_duration(node.value)
            except (ValueError, TypeError, AttributeError):
                raise self._wrong(node, path, "a duration such as 10s or 1h30m") from None
        accepted, expected = {
            bool: (("!!bool",), "true or false"),
            int: (("!!int",), "a whole number"),
            float: (("!!int", "!!float"), "a number"),
        }[into]
        if tag not in accepted:
            raise self._wrong(node, path, expected)
        return into(self._plain(node, path))

    def _plain(self, node: yaml.Node, path: str) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            raise self._mistake(node, path, getattr(error, "problem", None) or str(error), "plain YAML") from None


def encode(value: Any) -> Any:
    """The reverse of decoding: plain values that `yaml.safe_dump` writes. Secrets are masked."""
    if is_dataclass(value) and not isinstance(value, type):
        keyed = [(key, getattr(value, item.name)) for item in fields(value) if (key := _key_of(item)) is not None]
        return {key: "******" if key in _SECRETS and inner else encode(inner) for key, inner in keyed}
    if isinstance(value, Mapping):
        return {key: encode(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encode(inner) for inner in value]
    return format_duration(value) if isinstance(value, timedelta) else value
