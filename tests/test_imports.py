"""Who may import whom, read from the syntax trees.

A module imports from rows above its own and from its own folder, never from
its row's other members. What it may import from other packages depends on
what it is for: a metric never sees a model, a model never sees a file.
"""

import ast
import configparser
import dataclasses
import graphlib
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tfdecomp"

ROWS = (
    ("types", "version"),
    (
        "motion",
        "ops",
        "simulation",
        "model_files",
        "config_data",
        "shipped",
        "quiet",
    ),
    ("distributions", "data", "metrics", "visualization"),
    ("layers",),
    ("models",),
    (
        "evaluation",
        "exporting",
        "prediction",
        "configs",
        "builders",
        "saving",
        "model_info",
    ),
    ("catalogue",),
    ("training", "packing", "explaining"),
    ("hub", "importing", "benchmarks", "recording"),
    ("commands", "tracking_flags", "fitting"),
    (
        "train",
        "evaluate",
        "predict",
        "fit",
        "export",
        "prepare",
        "benchmark",
        "tables",
        "tune",
        "calibrate",
        "study",
        "compare",
        "sweep",
        "publish",
        "import_weights",
        "config",
        "cli",
    ),
)
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
# Rooms of a package: each imports from those before it and from its own; ""
# are the modules that lie in none.
ROOMS = {
    "data": ("", "video", "formats", "building"),
    "evaluation": ("", "studies"),
    "motion": ("", "linking"),
    "simulation": ("", "balls", "digits", "sprites", "rays", "fixed_camera"),
    "visualization": ("", "report"),
}
COMMANDS = ROWS[-1]

# Other packages that a module may import, besides the standard library and
# absl's logging. gin is for all who register something; the commands may
# import everything.
TENSORS = {"numpy", "tensorflow", "gin"}
ALLOWED = {
    "types": {"numpy", "tensorflow"},
    "version": set(),
    "ops": TENSORS,
    "simulation": {"numpy", "gin", "sklearn"},
    "distributions": TENSORS | {"tensorflow_probability"},
    "data": TENSORS
    | {"tensorflow_datasets", "av", "h5py", "apache_beam", "scipy"}
    | {"PIL", "tifffile"},
    "metrics": {"numpy", "gin", "scipy", "sklearn"},
    "motion": {"numpy", "gin", "scipy"},
    "visualization": {"numpy", "gin", "matplotlib"},
    "layers": TENSORS | {"keras"},
    "models": TENSORS | {"keras", "scipy", "tensorflow_probability"},
    "evaluation": TENSORS | {"sklearn"},
    "exporting": TENSORS
    | {"keras", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert"},
    "prediction": {"numpy", "scipy", "tensorflow"},
    "configs": {"gin"},
    "builders": {"tensorflow_datasets", "tqdm"},
    "saving": {"numpy", "tensorflow", "keras"},
    "model_info": set(),
    "model_files": {"numpy", "h5py"},
    "config_data": {"gin"},
    "explaining": {"gin"},
    "shipped": set(),
    "quiet": set(),
    "catalogue": {"huggingface_hub"},
    "training": TENSORS | {"keras", "tqdm", "tensorflow_datasets"},
    "benchmarks": TENSORS | {"keras"},
    "commands": {"absl", "tqdm"},
    "tracking_flags": {"absl"},
    "fitting": {"numpy"},
    "packing": {"numpy", "h5py"},
    "importing": {"numpy", "tensorflow", "keras"},
    "recording": set(),
    "hub": {"numpy", "tensorflow", "keras"},
}
# scikit-learn takes two seconds to load: simulation loads its digits with it,
# metrics and evaluation their probes and maps.
LAZY = {
    "simulation": {"sklearn"},
    "metrics": {"sklearn"},
    "evaluation": {"sklearn"},
}
DATASET_MODULES = {"data", "simulation"}
DATASET_PACKAGES = {"numpy", "tensorflow_datasets", "h5py", "apache_beam"}

# Import names that are not those of their distributions.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "absl": "absl-py",
    "gin": "gin-config",
    "sklearn": "scikit-learn",
    "onnx": "onnxruntime",  # a dependency of it
}


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module, such as `tfdecomp.data` or `numpy`."""

    module: str
    line: int
    in_function: bool

    @property
    def top(self):
        return self.module.partition(".")[0]

    @property
    def ours(self):
        """The row's member that is imported; None for other packages."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "tfdecomp" and len(parts) > 1 else None


def imports(path):
    """All imports of a file, wherever they stand in it."""
    return list(_walk(ast.parse(path.read_text()), in_function=False))


def _walk(node, in_function):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, in_function)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, "imports are absolute, with the full name"
            for alias in child.names:
                name = child.module
                if name == "absl" or f"{name}.{alias.name}" in PATHS:
                    name = f"{name}.{alias.name}"
                yield Import(name, child.lineno, in_function)
        else:
            function = isinstance(
                child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            )
            yield from _walk(child, in_function or function)


def unit(path):
    """The row's member that a file of the package belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def files(folder, pattern="*.py"):
    return sorted(p for p in folder.rglob(pattern) if p.is_file())


def short(path):
    return str(path.relative_to(ROOT))


def dotted(path):
    """Name of a module or package, such as `tfdecomp.data.video.levels`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(path):
    """The folder of its package that a module lies in; "" for none."""
    parts = path.relative_to(PACKAGE).parts
    return parts[1] if len(parts) > 2 else ""


MODULES = [p for p in files(PACKAGE) if p != PACKAGE / "__init__.py"]
PATHS = {dotted(path): path for path in MODULES}
DATASETS = files(ROOT / "datasets")
OURS = [*files(PACKAGE), *DATASETS, *files(ROOT / "tests")]


def test_every_module_has_a_row():
    found = {unit(path) for path in MODULES}
    assert found <= set(ROW), f"give a row to {sorted(found - set(ROW))}"


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_module_imports_only_from_rows_above_its_own(path):
    here = unit(path)
    wrong = [
        f"line {i.line}: {here} (row {ROW[here]}) imports {i.module}"
        for i in imports(path)
        if i.ours and i.ours != here and ROW.get(i.ours, 99) >= ROW[here]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ROOMS)
def test_the_rooms_of_a_package_are_known(package):
    found = {room(path) for path in files(PACKAGE / package)}
    assert found == set(ROOMS[package])


@pytest.mark.parametrize(
    "path", [p for p in MODULES if unit(p) in ROOMS], ids=short
)
def test_a_module_imports_only_from_rooms_before_its_own(path):
    order = ROOMS[unit(path)]
    wrong = [
        f"line {i.line}: {room(path) or unit(path)} imports {i.module}"
        for i in imports(path)
        if i.ours == unit(path)
        and order.index(room(PATHS[i.module])) > order.index(room(path))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_module_does_not_import_the_whole_package(path):
    wrong = [i.line for i in imports(path) if i.module == "tfdecomp"]
    assert not wrong, f"lines {wrong}: name the module that is meant"


def test_no_imports_run_in_a_circle():
    graph = {
        name: {i.module for i in imports(path) if i.module in PATHS} - {name}
        for name, path in PATHS.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names one


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_module_imports_only_the_packages_of_its_row(path):
    here = unit(path)
    if here in COMMANDS:
        return
    known = ALLOWED[here] | sys.stdlib_module_names | {"tfdecomp"}
    wrong = [
        f"line {i.line}: {here} imports {i.module}"
        for i in imports(path)
        if (i.top not in known and i.module != "absl.logging")
        or (i.top in LAZY.get(here, ()) and not i.in_function)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", DATASETS, ids=short)
def test_a_builder_imports_only_the_simulation_and_the_builders_base(path):
    if path.stem.endswith("_test") or path.stem == "make_files":
        return
    known = DATASET_PACKAGES | sys.stdlib_module_names
    wrong = [
        f"line {i.line}: {i.module}"
        for i in imports(path)
        if i.ours not in DATASET_MODULES and i.top not in known
    ]
    assert not wrong, "\n".join(wrong)


def requirements():
    """`(core, extras)`: distribution names as `setup.cfg` lists them."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extras = parser["options.extras_require"]
    return (
        names(parser["options"]["install_requires"]),
        {name for text in extras.values() for name in names(text)},
    )


def names(text):
    found = re.findall(r"^[\w.-]+", text, re.MULTILINE)
    return {name.lower().replace("_", "-") for name in found}


def distribution(top):
    return DISTRIBUTIONS.get(top, top).lower().replace("_", "-")


@pytest.mark.parametrize("path", [*files(PACKAGE), *DATASETS], ids=short)
def test_what_is_imported_is_required(path):
    core, extras = requirements()
    for found in imports(path):
        if found.top in {"tfdecomp", *sys.stdlib_module_names}:
            continue
        name = distribution(found.top)
        if name in core or path.stem.endswith("_test"):
            continue
        assert name in extras, f"{found.top}: add it to setup.cfg"
        assert found.in_function, (
            f"line {found.line}: {found.top} belongs to an extra; import it "
            "inside the function that needs it, with an error naming the extra"
        )


@pytest.mark.parametrize("path", OURS, ids=short)
def test_keras_is_keras_3(path):
    for found in imports(path):
        assert found.top != "tf_keras", f"line {found.line}"
        assert not found.module.startswith("tensorflow.keras"), found.line
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            written = f"{node.value.id}.{node.attr}"
            assert written not in {"tf.keras", "tfp.layers"}, node.lineno


@pytest.mark.parametrize("folder", ["gin", "datasets"])
def test_no_package_marker_hides_the_library_of_that_name(folder):
    assert not (ROOT / folder / "__init__.py").exists()


def test_in_the_checkout_gin_is_the_library():
    code = "import gin; gin.parse_config([])"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "module", ["tfdecomp", "tfdecomp.builders", "tfdecomp.data"]
)
def test_import_does_not_load_tensorflow(module, tmp_path):
    heavy = ("tensorflow", "keras", "tensorflow_probability", "tf_keras")
    code = f"import sys, {module}; print(*sys.modules.keys() & set({heavy}))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    assert result.stdout.split() == []
