"""What the README shows is run, in order, in one folder and one Python program, on the real service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from registry import Registry

from device_registry import DeviceClient, OwnerClient

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_readme_works(
    registry: Registry, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    # As the first block for the shell exports them.
    monkeypatch.setenv("DEVICE_REGISTRY_URL", registry.url)
    monkeypatch.setenv("DEVICE_REGISTRY_TOKEN_FILE", "token")
    administrator = registry.token("administrator", scope="registry:admin")
    for name, text in [("token", token), ("administrator-token", administrator)]:
        Path(name).touch(0o600)
        Path(name).write_text(text)
    blocks = BLOCK.findall(README.read_text())
    assert len(blocks) >= 8
    names: dict[str, object] = {"__name__": "readme"}
    try:
        for language, text in blocks:
            code = text.replace("http://localhost:8000", registry.url)
            if language == "python":
                exec(compile(code, "README.md", "exec"), names)
            elif language == "sh" and not code.startswith("pip "):
                subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True, timeout=60)
    finally:
        for value in names.values():
            if isinstance(value, OwnerClient | DeviceClient):
                value.close()
