"""Every string of the Python files that are named, one JSON string per line: among them are the inputs of a test suite."""
import ast
import json
import sys

for name in sys.argv[1:]:
    for node in ast.walk(ast.parse(open(name, encoding="utf-8").read())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            print(json.dumps(node.value))
