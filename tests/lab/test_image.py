"""The host image on a base from a container registry, which here is one on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from looking import WORKER

from handson.errors import LabError
from handson.lab import engine as engines
from handson.lab import image as images
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.workspace import Workspace

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on loopback, as HOST:PORT: Debian's own program, unpacked and not installed."""
    folder = tmp_path_factory.mktemp("registry")
    program = shutil.which("docker-registry")
    if program is None:
        if not shutil.which("dpkg-deb"):
            pytest.skip("docker-registry is not there, and this is no Debian to fetch it from")
        subprocess.run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "download", "docker-registry"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
        program = str(folder / "unpacked/usr/bin/docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder / "store", port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def base(registry: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A minimal Debian 12 in that registry, with this machine's own package sources inside."""
    if not images.can_bootstrap():
        pytest.skip("only mmdebstrap can make a base image here")
    root = tmp_path_factory.mktemp("base") / "root.tar"
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", images.INDEX_FORMAT, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = ["mmdebstrap", "--variant=minbase", "bookworm", str(root)]
    made = subprocess.run(
        [*images.as_root(), *command, *images.debian_sources(targets)],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-1000:]
    name = f"{registry}/debian:12"
    images.load(engine, root, name)
    if engine.is_podman:
        # The push, too, has to be told that this registry speaks plain HTTP.
        told = engine.client.api.post(
            f"{engine.client.api.base_url}/v4.0.0/libpod/images/{name}/push",
            params={"destination": name, "tlsVerify": "false"},
        )
        assert told.ok, told.text
    else:
        assert "error" not in engine.client.images.push(name)
    # Nothing of it stays here: it has to come from the registry.
    engine.client.images.remove(name, force=True)
    yield name
    for image in (name, f"{images.NAME}:{images.tag(name)}"):
        engine.client.images.remove(image, force=True)


@pytest.mark.slow(minutes=3)
def test_a_lab_upon_an_image_of_a_registry(
    base: str, engine: Engine, own_lab: Callable[[str], Lab], tmp_path: Path
) -> None:
    said: list[str] = []
    lab, workspace = own_lab(f"t6{WORKER}"), Workspace(f"t6{WORKER}", tmp_path)
    state = lab.up(workspace.public_key, said.append, base=base)
    assert f"Building the host image on {base}" in said
    assert state.image == f"{images.NAME}:{images.tag(base)}" != f"{images.NAME}:{images.tag()}"
    assert lab.is_up
    # Built once and kept, and the other one is kept too.
    said.clear()
    assert images.ensure(engine, said.append, base) == state.image
    assert images.ensure(engine, said.append) == f"{images.NAME}:{images.tag()}"
    assert said == []
    with engines.connect(lab.name) as its:
        assert "bookworm" in its.run(its.host("pc"), "cat /etc/os-release")


def test_a_registry_without_that_image(registry: str, engine: Engine) -> None:
    with pytest.raises(LabError, match="nothing-here") as caught:
        images.ensure(engine, lambda sentence: None, f"{registry}/nothing-here:12")
    assert "`--base IMAGE` chooses another" in str(caught.value)


def test_a_registry_that_does_not_answer(engine: Engine) -> None:
    with pytest.raises(LabError, match=r"127\.0\.0\.1:1/debian"):
        images.ensure(engine, lambda sentence: None, "127.0.0.1:1/debian:12")
