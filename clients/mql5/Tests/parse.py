#!/usr/bin/env python3
"""Parses every file with tree-sitter's grammar of C++, as a second parser:  parse.py FILE...

MQL5 is C++ to that grammar, but for `input` and `#property`.
"""
import pathlib
import re
import sys

import tree_sitter
import tree_sitter_cpp

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_cpp.language()))


def errors(text):
    """Lines and columns, from 1, of what the grammar does not know."""
    text = re.sub(r"^(\s*)s?input(\s+)", r"\1static\2", text, flags=re.M)
    text = re.sub(r"^\s*#property.*$", "", text, flags=re.M)
    nodes, found = [PARSER.parse(text.encode()).root_node], []
    while nodes:
        node = nodes.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append((node.start_point[0] + 1, node.start_point[1] + 1))
        nodes += node.children
    return sorted(found)


def main(names):
    failed = False
    for name in names:
        text = pathlib.Path(name).read_text(encoding="utf-8")
        for line, column in errors(text)[:5]:
            print(f"{name}:{line}:{column}: the second parser does not understand this")
            failed = True
        # The parser must notice a mistake.
        if not errors(text.replace(";\n", "\n", 1).replace(");\n", "\n", 1)):
            print(f"{name}: the second parser does not notice missing semicolons")
            failed = True
    print(f"{len(names)} files parsed.")
    return failed


sys.exit(main(sys.argv[1:]))
