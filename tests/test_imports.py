"""Who may import whom, read from the syntax trees.

A module imports from rows above its own and from its own folder, never from
its row's other members. What it may import from other packages depends on
what it is for: a metric never sees a model, a model never sees a file.
"""

import ast
import configparser
import dataclasses
import functools
import graphlib
import os
import pathlib
import platform
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tfdecomp"

ROWS = (
    ("types", "version", "signals"),
    (
        "motion",
        "ops",
        "simulation",
        "untrusted",
    ),
    ("distributions", "data", "metrics", "visualization"),
    ("layers",),
    ("models",),
    (
        "evaluation",
        "exporting",
        "prediction",
        "builders",
        "storage",
    ),
    ("training", "explaining"),
    ("sharing",),
    ("console", "fitting", "importing", "benchmarks", "serving"),
    ("jobs",),
    (
        "train",
        "evaluate",
        "predict",
        "fit",
        "serve",
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
    "signals": set(),
    "ops": TENSORS,
    "simulation": {"numpy", "gin", "sklearn"},
    "distributions": TENSORS | {"tensorflow_probability"},
    "data": TENSORS
    | {"tensorflow_datasets", "av", "h5py", "apache_beam", "scipy"}
    | {"PIL", "tifffile", "ale_py"},
    "metrics": {"numpy", "gin", "scipy", "sklearn"},
    "motion": {"numpy", "gin", "scipy"},
    "visualization": {"numpy", "gin", "matplotlib"},
    "layers": TENSORS | {"keras"},
    "models": TENSORS | {"keras", "scipy", "tensorflow_probability"},
    "evaluation": TENSORS | {"sklearn"},
    "exporting": TENSORS
    | {"keras", "tf2onnx", "onnx", "onnxruntime", "ai_edge_litert"}
    | {"tensorflow_serving"},
    "prediction": {"numpy", "scipy", "tensorflow", "keras"},
    "builders": {"tensorflow_datasets", "tqdm"},
    "storage": TENSORS | {"keras", "huggingface_hub"},
    "untrusted": {"numpy", "h5py", "gin"},
    "explaining": {"gin"},
    "training": TENSORS | {"keras", "tqdm", "tensorflow_datasets"},
    "benchmarks": TENSORS | {"keras"},
    "console": {"absl", "tqdm"},
    "fitting": {"numpy"},
    "jobs": {"distributed"},
    "sharing": {"numpy", "h5py", "tensorflow", "keras"},
    "serving": {"numpy", "tensorflow", "av", "fastapi", "uvicorn"},
    "importing": {"numpy", "tensorflow", "keras"},
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
    "tensorflow_serving": "tensorflow-serving-api",
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


@functools.cache
def tree(path):
    return ast.parse(path.read_text())


@functools.cache
def imports(path):
    """All imports of a file, wherever they stand in it."""
    return tuple(_walk(tree(path), in_function=False))


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


def refuse(paths, wrong):
    """Fails with a line for each import that `wrong` has something against.

    Args:
        paths: the files.
        wrong: what is wrong with an import of a file, `wrong(path, import)`;
            empty for nothing.
    """
    found = [
        f"{short(path)}:{i.line}: imports {i.module}: {reason}"
        for path in paths
        for i in imports(path)
        if (reason := wrong(path, i))
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_module_has_a_row():
    found = {unit(path) for path in MODULES}
    assert found <= set(ROW), f"give a row to {sorted(found - set(ROW))}"


def test_modules_import_only_from_rows_above_their_own():
    def wrong(path, i):
        here = unit(path)
        if i.ours and i.ours != here and ROW.get(i.ours, 99) >= ROW[here]:
            return f"row {ROW.get(i.ours)} into row {ROW[here]}"

    refuse(MODULES, wrong)


def test_the_rooms_of_packages_are_known():
    found = {
        package: {room(path) for path in files(PACKAGE / package)}
        for package in ROOMS
    }
    assert found == {package: set(rooms) for package, rooms in ROOMS.items()}


def test_modules_import_only_from_rooms_before_their_own():
    def wrong(path, i):
        if i.ours == unit(path):
            order = ROOMS[i.ours]
            if order.index(room(PATHS[i.module])) > order.index(room(path)):
                return f"the order is {order}"

    refuse([path for path in MODULES if unit(path) in ROOMS], wrong)


def test_modules_do_not_import_the_whole_package():
    refuse(
        MODULES,
        lambda _, i: i.module == "tfdecomp" and "name the module that is meant",
    )


def test_no_imports_run_in_a_circle():
    graph = {
        name: {i.module for i in imports(path) if i.module in PATHS} - {name}
        for name, path in PATHS.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names one


def test_modules_import_only_the_packages_of_their_row():
    def wrong(path, i):
        here = unit(path)
        known = ALLOWED[here] | sys.stdlib_module_names | {"tfdecomp"}
        if i.top not in known and i.module != "absl.logging":
            return f"not among those of {here}"
        if i.top in LAZY.get(here, ()) and not i.in_function:
            return "import it inside the function that needs it"

    refuse([path for path in MODULES if unit(path) not in COMMANDS], wrong)


def test_builders_import_only_the_simulation_and_the_builders_base():
    known = DATASET_PACKAGES | sys.stdlib_module_names
    refuse(
        [
            path
            for path in DATASETS
            if not path.stem.endswith("_test") and path.stem != "make_files"
        ],
        lambda _, i: (
            i.ours not in DATASET_MODULES
            and i.top not in known
            and "not for a builder"
        ),
    )


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


def test_what_is_imported_is_required():
    core, extras = requirements()
    ours = {"tfdecomp", *sys.stdlib_module_names}

    def wrong(path, i):
        name = distribution(i.top)
        if i.top in ours or name in core:
            return ""
        if name not in extras:
            return "add it to setup.cfg"
        if not i.in_function:
            return (
                "belongs to an extra; import it inside the function that "
                "needs it, with an error naming the extra"
            )

    paths = [*files(PACKAGE), *DATASETS]
    refuse([p for p in paths if not p.stem.endswith("_test")], wrong)


def test_keras_is_keras_3():
    refuse(
        OURS,
        lambda _, i: (
            (i.top == "tf_keras" or i.module.startswith("tensorflow.keras"))
            and "Keras 3 is `import keras`"
        ),
    )
    wrong = [
        f"{short(path)}:{node.lineno}: {node.value.id}.{node.attr}"
        for path in OURS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("tf", "keras"), ("tfp", "layers")}
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("folder", ["gin", "datasets"])
def test_no_package_marker_hides_the_library_of_that_name(folder):
    assert not (ROOT / folder / "__init__.py").exists()


def test_in_the_checkout_gin_is_the_library():
    code = "import gin; gin.parse_config([])"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_imports_do_not_load_tensorflow(tmp_path):
    code = (
        "import sys, tfdecomp, tfdecomp.builders, tfdecomp.data;"
        "tfdecomp.builders.builder_cls('bouncing_balls');"
        "heavy = {'tensorflow', 'keras', 'tensorflow_probability', 'tf_keras'};"
        "print(*heavy & sys.modules.keys())"
    )
    assert _printed(code, cwd=tmp_path) == ""


def _printed(code, **options):
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        **options,
    )
    return done.stdout.strip()


def _printed_with(code, chosen):
    """The same with the user's choice of oneDNN, or none."""
    name = "TF_ENABLE_ONEDNN_OPTS"
    environment = {k: v for k, v in os.environ.items() if k != name}
    if chosen is not None:
        environment[name] = chosen
    return _printed(code, env=environment)


@pytest.mark.parametrize("chosen", [None, "1", "0"])
def test_importing_turns_onednn_on_unless_the_user_has_chosen(chosen):
    code = "import os, tfdecomp; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert _printed_with(code, chosen) == (chosen or "1")


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="other builds of TensorFlow have no oneDNN, or always",
)
@pytest.mark.parametrize("chosen", [None, "0"])
def test_tensorflow_heeds_what_importing_chose(chosen):
    code = (
        "import tfdecomp\n"
        "from tensorflow.python.util import _pywrap_util_port as port\n"
        "print(port.IsMklEnabled())"
    )
    assert _printed_with(code, chosen) == str(chosen != "0")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("configs", "tfdecomp.storage.configs"),
        ("hub", "tfdecomp.sharing.hub"),
    ],
)
def test_modules_are_found_under_the_names_of_version_0_1(old, new):
    import tfdecomp

    assert getattr(tfdecomp, old).__name__ == new


def test_a_name_that_never_was_is_an_attribute_error():
    import tfdecomp

    with pytest.raises(AttributeError, match="no attribute 'layerz'"):
        _ = tfdecomp.layerz
