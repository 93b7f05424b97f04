"""Figures of how the code reads, over app, embeddings and models: ``python tests/code_figures.py``.

They are a by-product of readable code: a comment that repeats the line below it raises a figure and lowers the code.
``tests/test_code_figures.py`` holds the bounds.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("app", "embeddings", "models")
LONGEST_FILE = 400
"""Lines; a longer file says why in its first comment or in its docstring."""
ARRAYS = re.compile(r"Tensor|ndarray|DataArray|Dataset|DataTree|Float\[|Int\[|Bool\[|Shaped\[|Num\[")
TYPED_SHAPE = re.compile(r"\b(Float|Int|Int8|UInt8|Integer|Bool|Shaped|Num|Real)\w*\[")
BY_CONTRACT = re.compile(
    r"\b([Ss]cenes?|[Cc]ubes?|[Ll]andscapes?|[Aa]cquisitions?|contract|coordinates)\b|[Aa]s (of )?:?\w*:?``?"
)
"""A scene and a cube have dims and units by their contract (``embeddings.scenes.schema``, ``embeddings.variables``); a
variant of a function refers to it."""
SHAPE = re.compile(
    r"\(\.\.\.[^)]*\)|[Aa]ny shape|"
    r"\([a-z_0-9]+(?: [a-z]+)?(?:, ?[A-Za-z_0-9 .+*/-]+)*,?\)|\bdims?\b|scalar|0-d|same shape|[Ss]hape|"
    r"\bcube\b|\bscene\b|\bon ``?(time|feature|pixel|x|y)"
)
UNIT = re.compile(
    r"\b(degC|hPa|kPa|Pa|W m-2|gC m-2 d-1|umol|mm|m|km|dB|px|pixels?|days?|degrees?|radians?|int8|uint8|bool|booleans?|"
    r"0-1|0 to 1|reflectance|backscatter|unitless|dimensionless|[Uu]nits?|standard deviations?|index|indices|counts?|"
    r"weights?|epoch|datetime64|integers?|float32|float64|metres|seconds|bytes|share|probabilit\w+|labels?|codes|normalised|features?|tokens?|"
    r"embeddings?|logits?|mask|m2 m-2|mol|log)\b"
)


@dataclass
class Figures:
    """Counts over all files, with the places that fall short."""

    code_lines: int = 0
    docstring_lines: int = 0
    comment_lines: int = 0
    parameters: int = 0
    named_parameters: int = 0
    array_functions: int = 0
    array_functions_with_dims_and_units: int = 0
    unnamed: list[str] = field(default_factory=list)
    without_dims_or_units: list[str] = field(default_factory=list)
    long_files: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    dead_names: list[str] = field(default_factory=list)

    @property
    def comments_per_code_line(self) -> float:
        return self.comment_lines / self.code_lines

    @property
    def share_of_parameters_named(self) -> float:
        return self.named_parameters / self.parameters

    @property
    def share_of_array_functions_documented(self) -> float:
        return self.array_functions_with_dims_and_units / self.array_functions


def sources(root: Path = ROOT) -> Iterator[Path]:
    """Python files of the three packages, in order of their paths."""
    for folder in FOLDERS:
        yield from sorted((root / folder).rglob("*.py"))


def count_lines(text: str, figures: Figures) -> None:
    """Add a file's lines of code, docstring and comment; a comment behind code counts as one."""
    tree = ast.parse(text)
    docstring_lines: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for statement in body:
            # Strings that stand alone are docstrings: of a module, class or function, or of the constant above them.
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                docstring_lines.update(range(statement.lineno, statement.end_lineno + 1))
    code: set[int] = set()
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            # Directives to tools explain nothing.
            figures.comment_lines += not re.match(r"#\s*(noqa|type:|fmt:|ruff:|pragma)", token.string)
        elif token.type not in layout:
            code.update(range(token.start[0], token.end[0] + 1))
    figures.code_lines += len(code - docstring_lines)
    figures.docstring_lines += len(docstring_lines)


def public_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.ClassDef | None]]:
    """Functions and methods without a leading underscore, and ``__init__`` of public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node, None
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for child in node.body:
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and (
                    not child.name.startswith("_") or child.name == "__init__"
                ):
                    yield child, node


def check_file(path: Path, root: Path, figures: Figures) -> None:
    """Add what a file's public functions say of their parameters, shapes and units."""
    text = path.read_text(encoding="utf-8")
    place = path.relative_to(root)
    tree = ast.parse(text)
    count_lines(text, figures)
    length = text.count("\n")
    first_comment = next((line for line in text.splitlines() if line.lstrip().startswith("#")), "")
    reason = f"{ast.get_docstring(tree) or ''} {first_comment}".lower()
    if length > LONGEST_FILE and not re.search(r"\blong\b|\bone file\b", reason):
        figures.long_files.append(f"{place}: {length} lines")
    if path.name == "__init__.py" and not any(isinstance(n, ast.FunctionDef) for n in tree.body):
        return
    for function, owner in public_functions(tree):
        doc = ast.get_docstring(function) or ""
        if owner is not None and function.name == "__init__":
            doc += " " + (ast.get_docstring(owner) or "")
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        names = [one.arg for one in every if one.arg not in ("self", "cls") and not one.arg.startswith("_")]
        missing = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", doc)]
        figures.parameters += len(names)
        figures.named_parameters += len(names) - len(missing)
        where = f"{place}:{function.lineno} {function.name}"
        if missing:
            figures.unnamed.append(f"{where}: {', '.join(missing)}")
        if place.parts[0] == "app":
            continue
        hints = [ast.unparse(one.annotation) for one in every if one.annotation]
        hints += [ast.unparse(function.returns)] if function.returns else []
        signature = " ".join(hints)
        if not ARRAYS.search(signature):
            continue
        figures.array_functions += 1
        is_by_contract = not re.search(r"Tensor|ndarray|DataArray", signature) and BY_CONTRACT.search(doc)
        dims = TYPED_SHAPE.search(signature) or SHAPE.search(doc)
        if is_by_contract or (dims and UNIT.search(doc)):
            figures.array_functions_with_dims_and_units += 1
        else:
            figures.without_dims_or_units.append(where)


def import_cycles() -> list[str]:
    """Cycles of imports among the files of the package, each as one line of module names."""
    import grimp
    import networkx as nx

    import fluxlens  # noqa: F401  (its search path must know the folders before the graph is built)

    graph = grimp.build_graph("fluxlens", cache_dir=None)
    arrows = nx.DiGraph()
    for module in graph.modules:
        arrows.add_edges_from((module, other) for other in graph.find_modules_directly_imported_by(module))
    return [
        " -> ".join(sorted(group)) for group in nx.strongly_connected_components(arrows) if len(group) > 1
    ]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a page, or of the comments and docstrings of a Python file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (
            token.type == tokenize.STRING and token.string.startswith('"""')
        ):
            yield from enumerate(token.string.splitlines(), token.start[0])


def code_names(path: Path) -> set[str]:
    """Names in the code of a Python file, comments and strings left out."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def is_module_or_its_name(dotted: str, root: Path) -> bool:
    """Whether ``app.x.y`` is a package, a module, or a name that such a one has."""
    place = root
    parts = dotted.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place = place / f"{parts.pop(0)}.py"
    elif parts:
        place = place / "__init__.py"
    return not parts or (
        place.is_file() and bool(re.search(rf"\b{parts[0]}\b", place.read_text(encoding="utf-8")))
    )


def dead_names(root: Path = ROOT) -> list[str]:
    """Modules, functions and files that comments, docstrings and pages name, and that are not there (any more)."""
    modules_of: dict[str, set[str]] = {}
    packages = {"fluxlens"}
    for path in sources(root):
        packages.add(path.parent.name)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                modules_of.setdefault(node.name, set()).add(path.stem)
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    found = []
    for path in (*sources(root), *pages):
        in_code = code_names(path) if path.suffix == ".py" else set()
        for number, line in prose(path):
            dead = []
            for match in re.finditer(r"(?<![\w/.])((?:app|embeddings|models)(?:\.[A-Za-z_]\w*)+)", line):
                # 'app.py' and the like are files, of a user's own project.
                if not match[1].endswith(".py") and not is_module_or_its_name(match[1], root):
                    dead.append(match[1])
            for match in re.finditer(
                r"(?<![\w/.-])((?:app|embeddings|models|tests|benchmarks)/[\w/-]+\.\w+)", line
            ):
                if not (root / match[1]).is_file():
                    dead.append(match[1])
            # `module.function` of a module that has no such function. A package may give a function on that a module of
            # it has, and a name that the file's code has may be an object with such a method.
            for module, name in re.findall(r"`([a-z]\w*)\.([a-z]\w+)(?:\(\))?`", line):
                known = modules_of.get(name, set()) | packages | in_code
                if name in modules_of and module not in known:
                    dead.append(f"{module}.{name}")
            found += [f"{path.relative_to(root)}:{number} {name}" for name in dead]
    return found


def measure(root: Path = ROOT) -> Figures:
    """All figures of a checkout at ``root``."""
    figures = Figures()
    for path in sources(root):
        check_file(path, root, figures)
    figures.cycles = import_cycles()
    figures.dead_names = dead_names(root)
    return figures


def main() -> None:
    """Print the figures; with ``-v`` also the places that fall short."""
    found = measure()
    print(f"comment lines per line of code     {found.comments_per_code_line:.3f}   (at least 0.06)")
    print(f"docstring lines per line of code   {found.docstring_lines / found.code_lines:.3f}")
    print(f"public parameters named            {found.share_of_parameters_named:.1%}   (at least 85 %)")
    print(f"array functions with dims, units   {found.share_of_array_functions_documented:.1%}   (all)")
    print(f"files over {LONGEST_FILE} lines without reason  {len(found.long_files)}")
    print(f"import cycles                      {len(found.cycles)}")
    print(f"names of modules that are not there {len(found.dead_names)}")
    if "-v" in sys.argv[1:]:
        for place in (
            *found.unnamed,
            *found.without_dims_or_units,
            *found.long_files,
            *found.cycles,
            *found.dead_names,
        ):
            print(" ", place)


if __name__ == "__main__":
    main()
