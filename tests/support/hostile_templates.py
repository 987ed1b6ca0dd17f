"""Chat templates that a stranger may have made: each has to end soon, with a reason.

`HOSTILE` are made by hand; `template_mutants` is a seeded stream of changed ones.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

from jinja2 import Environment, TemplateSyntaxError

_PIECES = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|[^{]+|\{", re.DOTALL)
_NUMBERS = ("0", "-1", "2", "60", "99999", "10000000", "-1000000000", "2147483648", "9" * 40)
_FILTERS = (
    "abs", "capitalize", "count", "default", "dictsort", "first", "int", "join", "last", "length",
    "list", "lower", "map('upper')", "max", "min", "reverse", "round(9)", "round(-99999999)",
    "select", "sort", "string", "title", "tojson", "tojson(99999)", "trim", "unique", "upper",
    "replace('', 'aaaaaaaa')", "join('aaaaaaaa')", "center(999999999)", "attr('__class__')",
)  # fmt: skip
_EXPRESSIONS = (
    "range(99999)|list", "range(10)", "messages", "messages[0]", "[x, x]", "{x: x}", "(x, x)",
    "'a' * 99999", "[1] * 99999", "x.split('')", "x.__class__", "x.format(x)",
    "'{:9999}'.format(1)",
    "joiner()", "cycler(1, 2)", "strftime_now('%c' * 99)", "raise_exception(x)", "loop(messages)",
    "messages[-1].content", "caller()", "dict(a=x)", "x['content']", "lipsum()", "none", "1 / 3",
)  # fmt: skip
_STATEMENTS = (
    "{% set x = messages %}", "{% set ns = namespace(x=[1]) %}", "{% set ns.x = [ns.x, ns.x] %}",
    "{% for x in range(99999) %}", "{% for x in messages recursive %}", "{% endfor %}",
    "{% if x %}", "{% else %}", "{% endif %}", "{% break %}", "{% continue %}",
    "{% macro x(m) %}", "{% endmacro %}", "{% call x() %}", "{% endcall %}", "{% set x %}",
    "{% endset %}", "{% filter upper %}", "{% endfilter %}", "{% include x %}", "{{ x }}", "{{",
    "{%", "}}", "%}", "{#", "{% raw %}", "{% endraw %}",
)  # fmt: skip
_COPIES = (2, 2, 3, 10, 100, 2000)
BROKEN_SHARE = 0.1  # of those without Jinja's syntax
LONGEST = 200_000  # characters of a mutant

SHARED_LISTS = (
    "{% set ns=namespace(a=[1],b=[1]) %}{% for i in range(60) %}{% set ns.a=[ns.a,ns.a] %}"
    "{% set ns.b=[ns.b,ns.b] %}{% endfor %}"
)

HOSTILE = {
    "empty": "",
    "syntax": "{% for %}",
    "undefined filter": "{{ messages | explode }}",
    "too long a source": "x" * 300_000,
    "deep nesting": "{% if true %}" * 5000 + "{% endif %}" * 5000,
    "deep brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
    "{% endfor %}",
    "loops over a list": "{% set x = range(9999)|list %}{% for a in x %}{% for b in x %}"
    "{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
    "long output": "{% for a in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
    "doubling": "{% set ns = namespace(x='aaaa') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "doubling by the filter": "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x|replace('a', 'aaa') %}{% endfor %}",
    "doubling lists": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}"
    "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "a list of lists": "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "a list of lists in JSON": "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson|length }}",
    "multiplication": "{{ ('a' * 9999999999)|length }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "product": "{% set ns = namespace(x=99999) %}{% for i in range(9999) %}"
    "{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "width": "{{ '%9999999999d' % 1 }}",
    "format": "{{ '{:9999999999}'.format(1) }}",
    "center": "{{ 'a'|center(9999999999) }}",
    "indent": "{{ 'a\\nb'|indent(9999999999) }}",
    "lipsum": "{{ lipsum(n=99999) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "the environment": "{{ self._TemplateReference__context.environment.globals }}",
    "a rounding of endless digits": "{{ 5|round(-1000000000) }}",
    "a format of a format": "{{ '{:{}}'.format(1, 9999999999) }}",
    "comparison of shared lists": SHARED_LISTS + "{{ ns.a == ns.b }}",
    "hashes of shared tuples": "{% set ns=namespace(a=(1,)) %}{% for i in range(60) %}"
    "{% set ns.a=(ns.a,ns.a) %}{% endfor %}{{ {ns.a: 1}|length }}",
    "lists of lists of numbers": "{% set ns=namespace(l=[]) %}{% for i in range(100000) %}"
    "{% set ns.l=[ns.l, range(100000)|list] %}{% endfor %}",
    "division by zero": "{{ 1 / 0 }}",
    "a missing key": "{{ messages[99].content }}",
}


def template_mutants(sources: Sequence[str], seed: int) -> Iterator[str]:
    """Endless changed copies of `sources`, each with one to four changes.

    Most that are no Jinja any more are left out: they end before anything is computed.
    """
    random = Random(seed)
    for source in _changed(sources, random):
        if _parses(source) or random.random() < BROKEN_SHARE:
            yield source


def _parses(source: str) -> bool:
    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(source)
    except (TemplateSyntaxError, RecursionError):
        return False
    return True


def _changed(sources: Sequence[str], random: Random) -> Iterator[str]:
    changes: tuple[Callable[[list[str], Random], None], ...] = (
        _lose, _double, _exchange, _new_number, _new_number, _with_filter, _with_filter,
        _new_expression, _new_expression, _new_statement, _in_loops,
    )  # fmt: skip
    while True:
        pieces = _PIECES.findall(random.choice(sources))
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            random.choice(changes)(pieces or [""], random)
        yield "".join(pieces)[:LONGEST]


def _place(pieces: list[str], random: Random) -> int:
    """Mostly a piece that is computed."""
    computed = [at for at, piece in enumerate(pieces) if piece.startswith(("{{", "{%"))]
    return random.choice(computed) if computed else random.randrange(len(pieces))


def _lose(pieces: list[str], random: Random) -> None:
    del pieces[_place(pieces, random)]


def _double(pieces: list[str], random: Random) -> None:
    at = _place(pieces, random)
    end = at + random.choice((1, 1, 2, 5, 20))
    copied = pieces[at:end]
    times = min(random.choice(_COPIES), LONGEST // max(1, sum(map(len, copied))))
    pieces[at:at] = copied * times


def _exchange(pieces: list[str], random: Random) -> None:
    one, two = _place(pieces, random), _place(pieces, random)
    pieces[one], pieces[two] = pieces[two], pieces[one]


def _replace_one(
    pieces: list[str], pattern: str, random: Random, new: Callable[[str], str]
) -> None:
    at = _place(pieces, random)
    found = list(re.finditer(pattern, pieces[at]))
    if found:
        one = random.choice(found)
        pieces[at] = pieces[at][: one.start()] + new(one.group()) + pieces[at][one.end() :]


def _new_number(pieces: list[str], random: Random) -> None:
    _replace_one(pieces, r"-?\d+", random, lambda _: random.choice(_NUMBERS))


def _with_filter(pieces: list[str], random: Random) -> None:
    names = r"[A-Za-z_][\w.]*"
    _replace_one(pieces, names, random, lambda name: f"{name}|{random.choice(_FILTERS)}")


def _new_expression(pieces: list[str], random: Random) -> None:
    part = r"'[^']*'|[A-Za-z_][\w.]*(?:\[[^\]]*\])?"
    _replace_one(pieces, part, random, lambda _: random.choice(_EXPRESSIONS))


def _new_statement(pieces: list[str], random: Random) -> None:
    pieces.insert(random.randrange(len(pieces) + 1), random.choice(_STATEMENTS))


def _in_loops(pieces: list[str], random: Random) -> None:
    """Put a part into loops."""
    deep = random.choice((1, 2, 3, 30))
    begin = random.randrange(len(pieces))
    end = min(len(pieces), begin + random.choice((1, 2, 10)))
    over = f"{{% for x in {random.choice(_EXPRESSIONS)} %}}"
    pieces[begin:end] = [over] * deep + pieces[begin:end] + ["{% endfor %}"] * deep
