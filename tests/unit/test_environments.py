"""Environments pin the locked versions, inside the project's ranges, and hold what the jobs that run in them import."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wellfield.config.load import load_config
from wellfield.workflow.digests import STAGES
from wellfield.workflow.environments import pipeline_environment

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((REPOSITORY / "envs").glob("*.yaml"))}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

LOCK = {
    canonicalize_name(requirement.name): requirement
    for line in (REPOSITORY / "requirements" / "lock.txt").read_text().splitlines()
    if not line.startswith("#")
    for requirement in [Requirement(line)]
}
LINUX = {"platform_system": "Linux", "sys_platform": "linux", "platform_machine": "x86_64"}
MACOS = {"platform_system": "Darwin", "sys_platform": "darwin", "platform_machine": "arm64"}

# The environments for array libraries: base and these extras.
LIBRARIES = {
    "libraries": ("torch", "jax", "tensorflow", "pyclesperanto"),
    "gpu": ("gpu",),
    "gpu_tensorflow": ("gpu-tensorflow",),
}
# Modules that are imported only where the configuration names their library, or where there is no other.
OPTIONAL = {"torch", "jax", "tensorflow", "cupy", "cupyx", "pyclesperanto", "pyclesperanto_prototype"}


def requirements(environment):
    return ENVIRONMENTS[environment]["dependencies"][-1]["pip"]


def distributions(environment):
    """The names that an environment requires, without versions and extras."""
    return {re.split(r"[=\[]", requirement)[0] for requirement in requirements(environment)}


def required(extra):
    """The requirements of an extra, with those of the extras it names."""
    for requirement in EXTRAS[extra]:
        nested = re.fullmatch(r"wellfield\[(.*)\]", requirement)
        yield from (found for name in nested[1].split(",") for found in required(name)) if nested else [requirement]


def holds(marker, platform):
    return marker is None or Marker(str(marker)).evaluate({**default_environment(), **platform})


def on(platform, requirements):
    """The requirements of a platform, by name with extras."""
    found = [Requirement(text) for text in requirements if holds(Requirement(text).marker, platform)]
    return {_name(requirement): requirement for requirement in found}


def _name(requirement):
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return canonicalize_name(requirement.name) + extras


def version(pin):
    """The version of a requirement that is pinned."""
    [specifier] = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


RANGES = on(LINUX, [*PROJECT["dependencies"], *(found for extra in EXTRAS for found in required(extra))])


def test_there_are_these_environments_and_no_other():
    assert set(ENVIRONMENTS) == {"base", "report", *LIBRARIES}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_only_python_and_pip_come_from_conda_forge(name):
    environment = ENVIRONMENTS[name]
    assert set(environment) == {"channels", "dependencies"}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = environment["dependencies"]
    assert [re.fullmatch(r"(\w+)=\d+(\.\d+)+", package)[1] for package in conda] == ["python", "pip"]
    assert list(pip) == ["pip"]


def test_all_environments_have_the_same_python_and_pip():
    assert len({tuple(environment["dependencies"][:-1]) for environment in ENVIRONMENTS.values()}) == 1


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_pins_the_locked_versions(name):
    pins = on(LINUX, requirements(name))
    assert len(pins) == len(requirements(name))
    for package, pin in pins.items():
        assert package in RANGES
        assert version(pin) == version(LOCK[canonicalize_name(pin.name)]), package


@pytest.mark.parametrize("package", RANGES)
def test_a_locked_version_is_inside_the_range_of_the_project(package):
    requirement = RANGES[package]
    assert version(LOCK[canonicalize_name(requirement.name)]) in requirement.specifier


def test_the_library_has_a_lower_bound_for_every_requirement_and_no_upper_one():
    ranges = on(LINUX, PROJECT["dependencies"])
    assert len(ranges) == len(PROJECT["dependencies"])
    for requirement in ranges.values():
        assert [specifier.operator for specifier in requirement.specifier] == [">="], requirement


@pytest.mark.parametrize("name", LIBRARIES)
def test_an_environment_of_array_libraries_is_base_and_the_extras_of_its_libraries(name):
    libraries = [found for extra in LIBRARIES[name] for found in required(extra)]
    assert sorted(on(LINUX, requirements(name))) == sorted([*on(LINUX, requirements("base")), *on(LINUX, libraries)])


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_asks_for_nothing_that_macos_does_not_have(extra):
    names = set(on(MACOS, required(extra)))
    assert not [name for name in names if name.startswith(("cupy", "tensorflow-cpu")) or "cuda" in name]


def test_each_platform_has_one_tensorflow():
    assert set(on(MACOS, required("tensorflow"))) == {"tensorflow"}
    assert set(on(LINUX, required("tensorflow"))) == {"tensorflow-cpu"}
    assert set(on({**LINUX, "platform_machine": "aarch64"}, required("tensorflow"))) == {"tensorflow"}


# --- what jobs import --------------------------------------------------------------------------------------------


def nodes(file):
    """The nodes of a file, without what is only for type checkers."""
    pending = [ast.parse(file.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
        else:
            yield node
            pending += ast.iter_child_nodes(node)


@cache
def imported(file):
    """The modules that a file imports, at its top or inside a function."""
    modules = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def sources(module):
    """The files that the import of a module of the project runs: its own, and those of the packages it is in."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = REPOSITORY.joinpath("lib", *parts[:end])
        yield from (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file())


def closure(rule):
    """The files of the project that a rule's job may run: its script, what that imports, what is imported by name."""
    packages = {package for scripts, packages in STAGES.values() if rule in scripts for package in packages}
    if rule != "report_plate":
        packages -= {"report"}  # of the stage, but not of its other script
    found = {REPOSITORY / "scripts" / f"{rule}.py"}
    for package in packages:
        found |= set((REPOSITORY / "lib" / "wellfield" / package).rglob("*.py"))
    found = {file for file in found if "conformance" not in file.parts}  # storage's tests, for those who run them
    pending = list(found)
    while pending:
        names = [name for name in imported(pending.pop()) if name.partition(".")[0] == "wellfield"]
        new = {file for name in names for file in sources(name)} - found
        found |= new
        pending += new
    return found


@cache
def third_party(rule):
    """The top-level modules of other projects that a rule's job may import."""
    modules = {name.partition(".")[0] for file in closure(rule) for name in imported(file)}
    return modules - set(sys.stdlib_module_names) - {"wellfield"}


@cache
def _installed():
    return packages_distributions()


def providers(module):
    """The names, as PyPI compares them, of the installed distributions that have a top-level module."""
    return {name.lower().replace("_", "-") for name in _installed().get(module, ())}


def missing(rule, environment):
    """The modules that a rule's job may import and that no distribution provides which an environment requires."""
    return {m for m in third_party(rule) - OPTIONAL if not providers(m) & distributions(environment)}


def rules():
    """Every rule with the environment it names: that of the pipeline, or its file."""
    for file in sorted((REPOSITORY / "rules").glob("*.smk")):
        for rule in re.split(r"^(?:rule|checkpoint) ", file.read_text(), flags=re.MULTILINE)[1:]:
            conda = re.search(r'^    conda:\n        (?:"\.\./envs/)?(\w+)', rule, re.MULTILINE)
            yield rule.partition(":")[0], conda[1]


RULES = dict(rules())


def test_every_rule_has_an_environment():
    assert set(RULES) == {path.stem for path in (REPOSITORY / "scripts").glob("*.py")}
    assert {name for name, environment in RULES.items() if environment == "PIPELINE_ENVIRONMENT"} == {
        "compile_plan",
        "process_well",
    }
    assert set(RULES.values()) - {"PIPELINE_ENVIRONMENT"} <= set(ENVIRONMENTS)


@pytest.mark.parametrize("rule", RULES)
def test_the_environment_of_a_rule_has_all_that_its_job_imports(rule):
    assert {"numpy", "pyarrow"} <= third_party(rule)
    chosen = RULES[rule]
    for environment in ("base", *LIBRARIES) if chosen == "PIPELINE_ENVIRONMENT" else (chosen,):
        assert missing(rule, environment) == set(), environment


def test_only_the_report_draws():
    assert {rule for rule in RULES if "matplotlib" in third_party(rule)} == {"report_plate"}
    assert missing("report_plate", "base") == {"jinja2", "matplotlib"}


@pytest.mark.parametrize("name", ["base", "report"])
def test_an_environment_has_nothing_that_no_job_imports(name):
    # imagecodecs is imported by tifffile, for compressed images
    used = {"imagecodecs"}.union(*(third_party(rule) for rule in RULES))
    assert distributions(name) <= set().union(*(providers(module) for module in used))


@pytest.mark.parametrize(
    ("library", "device"),
    [
        *((library, device) for library in ("numpy", "torch", "jax", "tensorflow") for device in ("cpu", "gpu")),
        *(("pyclesperanto", device) for device in ("cpu", "gpu")),
        ("cupy", "gpu"),  # needs one
    ],
)
def test_the_chosen_environment_has_the_library_that_is_configured(library, device):
    config = load_config({"steps": [{"func": "max_projection"}], "memory_type": library, "device": device})
    names = distributions(pipeline_environment(config))
    assert any(re.fullmatch(rf"{library}(-cpu|-cuda\d+x)?", name) for name in names)
