"""Converts a JSON schema to a grammar that constrains an answer in llama.cpp.

Only schemas that a grammar can guarantee are accepted: an answer that ends by itself is JSON and
validates. Keywords that would need more, such as `pattern` or `minimum` of a real number, are
refused by name instead of being dropped silently. Objects have the properties of the schema in its
order and no others. The grammar's language is GBNF, described in llama.cpp's `grammars/README.md`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr

MAX_SCHEMA_CHARACTERS: Final = 65_536
MAX_DEPTH: Final = 32
MAX_RULES: Final = 2000
MAX_REPEATED: Final = 1000  # characters of a text, items of a list, numbers of a range
MAX_PATHS: Final = 10_000  # through nested choices: llama.cpp walks each of them
_ANNOTATIONS: Final = frozenset({
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default",
    "examples", "deprecated", "readOnly", "writeOnly", "discriminator",
})  # fmt: skip
_KEYWORDS: Final = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "format"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_FORMATS: Final = {
    "date": "date",
    "time": "time",
    "date-time": 'date "T" time',
    "uuid": "[0-9a-f]{8} " + '"-" [0-9a-f]{4} ' * 3 + '"-" [0-9a-f]{12}',
}
# Their bytes have no tokens in some vocabularies, so they are written as JSON's escapes.
_ESCAPED: Final = re.compile("[\ud800-\udfff\U00040000-\U0010ffff]")
# White space is allowed where JSON allows it, but briefly: models get stuck writing it.
_BASE: Final = {
    "ws": r'| " " | "\n" [ \t]{0,20}',
    "char": r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": r'"\"" char* "\""',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": 'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" ws (member (ws "," ws member)*)? ws "}"',
    "member": 'string ws ":" ws value',
    "array": '"[" ws (value (ws "," ws value)*)? ws "]"',
    "date": '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
    "time": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("Z" | [-+] '
    '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
}

_Object = Mapping[str, Any]
Schema = _Object | type[BaseModel]


def schema_json(schema: Schema) -> str:
    """Serialize the schema for the host's pipe. Raises WrongUsage for an unsupported schema."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        schema = schema.model_json_schema()
    try:
        text = json.dumps(schema, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongUsage(detail=tr("The schema is not JSON: {detail}.", detail=error)) from error
    schema_grammar(text)
    return text


def schema_grammar(text: str) -> str:
    """Return the grammar of a schema given as JSON text. Raises WrongUsage."""
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise _refused(tr("it has more than {n} characters", n=MAX_SCHEMA_CHARACTERS))
    try:
        schema = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise WrongUsage(detail=tr("The schema is not JSON: {detail}.", detail=error)) from error
    return _Grammar(schema).text()


def _refuse_constant(name: str) -> None:
    """NaN and infinities are no JSON, though Python's parser accepts them."""
    raise ValueError(name)


def _refused(detail: str) -> WrongUsage:
    return WrongUsage(detail=tr("This schema is not supported: {detail}.", detail=detail))


class _Grammar:
    """The rules of one schema, by their names."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._rules = dict(_BASE)
        self._paths: dict[str, int] = {}  # through the choices of a rule, where it has some
        self._references: dict[str, str] = {}
        self._resolving: set[str] = set()  # references since the last bracket of JSON
        self._rules["root"] = f"ws {self._rule(schema, 0)} ws"

    def text(self) -> str:
        return "\n".join(f"{name} ::= {rule}" for name, rule in self._rules.items()) + "\n"

    def _add(self, rule: str) -> str:
        if len(self._rules) >= MAX_RULES:
            raise _refused(tr("it is too large"))
        name = f"r{len(self._rules)}"
        self._rules[name] = rule
        return name

    def _rule(self, schema: Any, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise _refused(tr("it is nested too deeply"))
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, dict):
            raise _refused(tr("part of it is not an object: {part}", part=_shorten(schema)))
        keywords = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        if "$ref" in keywords:
            return self._reference(keywords, depth)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in keywords:
                return self._union(keywords, key, depth)
        if "const" in keywords or "enum" in keywords:
            return self._constants(keywords)
        return self._typed(keywords, depth)

    def _reference(self, schema: _Object, depth: int) -> str:
        _reject_others(schema, {"$ref"})
        path = schema["$ref"]
        if not isinstance(path, str) or not (path == "#" or path.startswith("#/")):
            raise _refused(tr("it refers to something outside itself: {part}", part=_shorten(path)))
        if path in self._resolving:
            raise _refused(tr("it refers to itself"))
        if path not in self._references:
            self._references[path] = name = self._add("")
            target = self._schema
            for step in path.split("/")[1:]:
                step = step.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - RFC 6901
                target = target.get(step) if isinstance(target, dict) else None
            if target is None:
                raise _refused(
                    tr("it refers to something outside itself: {part}", part=_shorten(path))
                )
            self._resolving.add(path)
            self._rules[name] = rule = self._rule(target, depth + 1)
            self._paths[name] = self._paths.get(rule, 1)
            self._resolving.discard(path)
        return self._references[path]

    def _nested(self, schema: Any, depth: int) -> str:
        """The rule of a part inside brackets, where a reference may lead back to the whole."""
        resolving, self._resolving = self._resolving, set()
        name = self._rule(schema, depth)
        self._resolving = resolving
        return name

    def _union(self, schema: _Object, key: str, depth: int) -> str:
        _reject_others(schema, {key})
        parts = _list(schema, key)
        if key == "allOf" and len(parts) > 1:
            raise _refused(_unsupported("allOf"))
        return self._choice([self._rule(part, depth + 1) for part in parts])

    def _choice(self, parts: Sequence[str]) -> str:
        """Add a rule that is one of these."""
        paths = sum(self._paths.get(part, 1) for part in parts)
        if paths > MAX_PATHS:
            raise _refused(tr("it is too large"))
        self._paths[name := self._add(" | ".join(parts))] = paths
        return name

    def _constants(self, schema: _Object) -> str:
        _reject_others(schema, {"const", "enum", "type"})
        values = [schema["const"]] if "const" in schema else _list(schema, "enum")
        if len(values) > MAX_REPEATED:
            raise _refused(tr("it is too large"))
        return self._choice([_literal(value) for value in values])

    def _typed(self, schema: _Object, depth: int) -> str:
        kinds = schema.get("type")
        if kinds is None:  # the keywords imply the type
            kinds = [k for k, keys in _KEYWORDS.items() if keys & schema.keys()][:1] or [None]
        kinds = kinds if isinstance(kinds, list) else [kinds]
        for kind in kinds:
            if not isinstance(kind, str) or kind not in _KEYWORDS:
                raise _refused(tr("it uses the unknown type {kind}", kind=_shorten(kind)))
        _reject_others(schema, frozenset({"type"}).union(*(_KEYWORDS[kind] for kind in kinds)))
        names = [self._one_type(kind, schema, depth) for kind in kinds]
        return names[0] if len(names) == 1 else self._choice(names)

    def _one_type(self, kind: str, schema: _Object, depth: int) -> str:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer":
                return self._integer(schema)
        return kind

    def _object(self, schema: _Object, depth: int) -> str:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise _refused(_unsupported("properties"))
        if not all(isinstance(name, str) for name in required):
            raise _refused(_unsupported("required"))
        if missing := [name for name in required if name not in properties]:
            raise _refused(tr("it requires {name} but does not describe it", name=missing[0]))
        if not properties:
            return self._free_object(schema.get("additionalProperties", True), depth)
        members = [
            (f'{_literal(name)} ws ":" ws {self._nested(part, depth + 1)}', name in required)
            for name, part in properties.items()
        ]
        # From the last to the first: the rules that may follow, with and without a member before.
        after, first = "", ""
        for member, needed in reversed(members):
            before_after, before_first = after, first
            after = self._add(
                f'ws "," ws {member} {before_after}'
                if needed
                else f'(ws "," ws {member})? {before_after}'
            )
            alone = f"{member} {before_after}"
            if not needed:
                alone = f"{alone} | {before_first}" if before_first else f"({alone})?"
            first = self._add(alone)
        return self._add(f'"{{" ws {first} ws "}}"')

    def _free_object(self, values: Any, depth: int) -> str:
        """Allow any names, with values as `additionalProperties` requires."""
        if values is False:
            return self._add('"{" ws "}"')
        member = self._add(f'string ws ":" ws {self._nested(values, depth + 1)}')
        return self._add(f'"{{" ws ({member} (ws "," ws {member})*)? ws "}}"')

    def _array(self, schema: _Object, depth: int) -> str:
        item = self._nested(schema.get("items", True), depth + 1)
        least, most = _range(schema, "minItems", "maxItems")
        if most == 0:
            return self._add('"[" ws "]"')
        more = _repetition(max(0, least - 1), None if most is None else most - 1)
        filled = f'{item} (ws "," ws {item}){more}'
        inner = filled if least else f"({filled})?"
        return self._add(f'"[" ws {inner} ws "]"')

    def _string(self, schema: _Object) -> str:
        if "format" in schema:
            _reject_others(schema, {"type", "format"})
            form = _FORMATS.get(str(schema["format"]))
            if form is None:
                raise _refused(_unsupported(f"format: {_shorten(schema['format'])}"))
            return self._add(f'"\\"" {form} "\\""')
        least, most = _range(schema, "minLength", "maxLength")
        if (least, most) == (0, None):
            return "string"
        return self._add(f'"\\"" char{_repetition(least, most)} "\\""')

    def _integer(self, schema: _Object) -> str:
        if "minimum" not in schema and "maximum" not in schema:
            return "integer"
        least, most = schema.get("minimum"), schema.get("maximum")
        if not isinstance(least, int) or not isinstance(most, int | None):
            raise _refused(_unsupported("minimum"))
        if most is None and least in (0, 1):
            return self._add('"0" | [1-9] [0-9]{0,15}' if least == 0 else "[1-9] [0-9]{0,15}")
        if most is None or not 0 <= most - least < MAX_REPEATED:
            raise _refused(_unsupported("minimum"))
        return self._choice([_literal(number) for number in range(least, most + 1)])


def _literal(value: Any) -> str:
    """Return a JSON value as a literal of the grammar."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _reject_others(schema: _Object, allowed: frozenset[str] | set[str]) -> None:
    """Refuse keywords whose meaning would be lost."""
    if others := [key for key in schema if key not in allowed]:
        raise _refused(_unsupported(others[0]))


def _unsupported(keyword: str) -> str:
    return tr("a grammar cannot guarantee “{keyword}”", keyword=_shorten(keyword))


def _list(schema: _Object, key: str) -> Sequence[Any]:
    found = schema[key]
    if not isinstance(found, list) or not found:
        raise _refused(_unsupported(key))
    return found


def _range(schema: _Object, least_key: str, most_key: str) -> tuple[int, int | None]:
    least, most = schema.get(least_key, 0), schema.get(most_key)
    for key, bound in ((least_key, least), (most_key, most)):
        if bound is not None and not (type(bound) is int and 0 <= bound <= MAX_REPEATED):
            raise _refused(_unsupported(f"{key}: {_shorten(bound)}"))
    if most is not None and most < least:
        raise _refused(_unsupported(most_key))
    return least, most


def _repetition(least: int, most: int | None) -> str:
    """Return the repetition operator of a range."""
    if most is None:
        return "*" if least == 0 else f"{{{least},}}"
    return f"{{{least},{most}}}"


def _shorten(value: Any) -> str:
    return str(value)[:60]
