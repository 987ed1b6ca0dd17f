"""Chat templates that a stranger may have made: each has to end soon, with a reason."""

from __future__ import annotations

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
    "doubling with plus": "{% set ns = namespace(x='aaaa') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "doubling by replace": "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x.replace('a', 'aaa') %}{% endfor %}",
    "doubling by the filter": "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x|replace('a', 'aaa') %}{% endfor %}",
    "doubling by join": "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x]|join(ns.x) %}{% endfor %}",
    "doubling by a method": "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
    "{% set ns.x = ns.x.join([ns.x, ns.x]) %}{% endfor %}",
    "doubling by a block": "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
    "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
    "doubling lists": "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}"
    "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "a list of lists": "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "a list of lists in JSON": "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson|length }}",
    "a list of lists as text": "{% set ns = namespace(x=['a']) %}{% for i in range(99) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ (ns.x|string)|length }}",
    "multiplication": "{{ ('a' * 9999999999)|length }}",
    "multiplication of lists": "{{ ([1] * 9999999999)|length }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "product": "{% set ns = namespace(x=99999) %}{% for i in range(9999) %}"
    "{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "width": "{{ '%9999999999d' % 1 }}",
    "format": "{{ '{:9999999999}'.format(1) }}",
    "center": "{{ 'a'|center(9999999999) }}",
    "center at compile time": "{% set x = 'a'|center(9999999999) %}",
    "the method center": "{{ 'a'.center(9999999999) }}",
    "ljust": "{{ 'a'.ljust(9999999999) }}",
    "indent": "{{ 'a\\nb'|indent(9999999999) }}",
    "lipsum": "{{ lipsum(n=99999) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__.keys() }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "attribute by name": "{{ ''|attr('__class__') }}",
    "the environment": "{{ self._TemplateReference__context.environment.globals }}",
    "a rounding of endless digits": "{{ 5|round(-1000000000) }}",
    "a rounding of endless decimals": "{{ 1|round(100000000, 'floor') }}",
    "a format of a format": "{{ '{:{}}'.format(1, 9999999999) }}",
    "comparison of shared lists": SHARED_LISTS + "{{ ns.a == ns.b }}",
    "containment of shared lists": SHARED_LISTS + "{{ ns.a in [ns.b] }}",
    "order of shared lists": SHARED_LISTS + "{{ [ns.a, ns.b]|sort }}",
    "hashes of shared tuples": "{% set ns=namespace(a=(1,)) %}{% for i in range(60) %}"
    "{% set ns.a=(ns.a,ns.a) %}{% endfor %}{{ {ns.a: 1}|length }}",
    "lists of lists of numbers": "{% set ns=namespace(l=[]) %}{% for i in range(100000) %}"
    "{% set ns.l=[ns.l, range(100000)|list] %}{% endfor %}",
    "division by zero": "{{ 1 / 0 }}",
    "a missing key": "{{ messages[99].content }}",
}
