"""The wheel and the source distribution, built, and installed into new environments."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PROGRAM = """
import importlib.metadata, importlib.resources, device_registry
assert importlib.resources.files("device_registry").joinpath("py.typed").is_file()
assert importlib.metadata.version("device-registry-client") == device_registry.__version__
for name in device_registry.__all__:
    getattr(device_registry, name)
print(" ".join(sorted(distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions())))
"""


def run(*arguments: str | Path, folder: Path) -> str:
    done = subprocess.run(arguments, check=True, text=True, cwd=folder, stdout=subprocess.PIPE)
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, PROJECT, folder=folder)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return {"wheel": wheel, "source": source}


@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_it_is_installed_and_imported(kind: str, distributions: dict[str, Path], tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", folder=tmp_path)
    python = tmp_path / "venv/bin/python"
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", distributions[kind])
    run(*install, folder=tmp_path)
    installed = set(run(python, "-I", "-c", PROGRAM, folder=tmp_path).split())
    assert installed - {"pip", "setuptools", "typing_extensions", "typing-extensions"} == {
        "device-registry-client", "anyio", "certifi", "h11", "httpcore", "httpx", "idna"
    }  # fmt: skip


def test_the_wheel_has_the_library_alone(distributions: dict[str, Path]) -> None:
    names = zipfile.ZipFile(distributions["wheel"]).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"device_registry", "device_registry_client"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_has_what_a_packager_needs(distributions: dict[str, Path]) -> None:
    with tarfile.open(distributions["source"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "tests/conftest.py"} <= names
    assert not {name for name in names if "__pycache__" in name or name.endswith(".pyc")}
