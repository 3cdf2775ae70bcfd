"""Looks for what is wrong with emitted PyPTO source, with the standard library's parser.

Takes a list of known names and then files: Python source, or snapshots of it. Prints a line for each finding, and at the
end how many files and calls were looked at. The list has a line for each name: the name, the keywords that it takes,
and where it is documented, separated by `|`.
"""

import ast
import builtins
import sys


def known_names(path):
    names = {}
    for line in open(path, encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            name, keywords, _ = (part.strip() for part in line.split("|"))
            names[name] = set(keywords.split())
    return names


def source_of(path):
    text = open(path, encoding="utf-8").read()
    if path.endswith(".snap"):
        # A snapshot begins with its own head between two lines.
        text = text.split("---\n", 2)[2]
    return text


def dotted(node):
    """`pl.tile.full` of an attribute of `pl`, or nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return base and f"{base}.{node.attr}"
    return None


class Checker:
    def __init__(self, known):
        self.known = known
        self.findings = []
        self.calls = 0

    def file(self, path, text):
        self.path = path
        tree = ast.parse(text)
        if not ast.get_docstring(tree):
            self.find(tree, "no docstring")
        self.language(tree)
        names = set(dir(builtins))
        constants = {}
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {(a.asname or a.name).split(".")[0] for a in node.names}
                names |= {a.asname for a in node.names if a.asname}
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    constants[target.id] = node
                    names.add(target.id)
            elif isinstance(node, ast.FunctionDef):
                names.add(node.name)
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for name, node in constants.items():
            if name not in used and not name.startswith("__"):
                self.find(node, f"constant `{name}` is not used")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                arguments = [a.arg for a in node.args.args]
                if len(set(arguments)) < len(arguments):
                    self.find(node, "two parameters of one name")
                self.block(node.body, names | set(arguments))

    def find(self, node, text):
        self.findings.append(f"{self.path}:{getattr(node, 'lineno', 1)}: {text}")

    def language(self, tree):
        inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner:
                name = dotted(node)
                if name and name.startswith("pl.") and name not in self.known:
                    self.find(node, f"`{name}` is no documented name")
            if isinstance(node, ast.Call):
                name = dotted(node.func)
                if name and name.startswith("pl."):
                    self.calls += 1
                    for k in node.keywords:
                        if k.arg not in self.known.get(name, set()):
                            self.find(node, f"`{name}` takes no `{k.arg}`")

    def reads(self, node, names):
        for n in ast.walk(node):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id not in names:
                self.find(n, f"`{n.id}` is read before it is assigned")

    def targets(self, node):
        return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}

    def block(self, body, names):
        """Checks statements; returns the names that are assigned after them, whichever way was taken."""
        names = set(names)
        for node in body:
            if isinstance(node, ast.For):
                self.reads(node.iter, names)
                # What a loop assigns first does not exist after it.
                self.block(node.body, names | self.targets(node.target))
            elif isinstance(node, ast.With):
                for item in node.items:
                    self.reads(item.context_expr, names)
                names = self.block(node.body, names)
            elif isinstance(node, ast.If):
                self.reads(node.test, names)
                left = self.block(node.body, names)
                right = self.block(node.orelse, names)
                names = left & right
            else:
                self.reads(node, names)
                names |= self.targets(node)
        return names


def main():
    checker = Checker(known_names(sys.argv[1]))
    for path in sys.argv[2:]:
        try:
            checker.file(path, source_of(path))
        except SyntaxError as e:
            checker.findings.append(f"{path}: {e}")
    for finding in checker.findings:
        print(finding)
    print(f"{len(sys.argv) - 2} files, {checker.calls} calls")


main()
