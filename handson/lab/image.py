"""The host image: Debian 12 with systemd, sshd and Postfix, built once and kept.

Two ways lead to it. Where mmdebstrap can run (Debian or Ubuntu, as root) it makes the
root file system from the machine's own package source. Elsewhere the image is built
upon a Debian image from a container registry. Both end with `image/setup.sh`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from docker.errors import APIError, BuildError, ImageNotFound

from handson.errors import LabError
from handson.i18n import _
from handson.lab.engine import Engine
from handson.lab.processes import as_root

RECIPE = Path(__file__).parent / "image"
NAME = "localhost/smtp-handson-host"
REGISTRY_BASE = "docker.io/library/debian:12"
RELEASE = "bookworm"

Say = Callable[[str], None]


def tag(base: str = "") -> str:
    """Return the tag of the image that today's recipe makes; another recipe, another tag.

    >>> tag() == tag("") != tag("debian:12")
    True
    """
    digest = hashlib.sha256()
    for file in sorted(RECIPE.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    recipe = digest.hexdigest()[:12]
    return f"{recipe}-{hashlib.sha256(base.encode()).hexdigest()[:8]}" if base else recipe


def ensure(engine: Engine, say: Say, base: str = "") -> str:
    """Return the name of the host image; build it first where it is missing.

    `base` names a Debian image to build upon; when empty, mmdebstrap makes the base
    where it can run. Raises LabError with the last lines of a build that fails.
    """
    image = f"{NAME}:{tag(base)}"
    try:
        engine.client.images.get(image)
        return image
    except ImageNotFound:
        pass
    started = time.monotonic()
    say(_("Building the host image (once; a few minutes)"))
    if not base and can_bootstrap():
        _bootstrap(engine, image, say)
    else:
        _build(engine, image, base or REGISTRY_BASE, say)
    say(_("The host image is built ({seconds:.0f} s)").format(seconds=time.monotonic() - started))
    _drop_old(engine, image)
    return image


def can_bootstrap() -> bool:
    """Tell whether mmdebstrap can make a root file system on this machine."""
    if not shutil.which("mmdebstrap") or not shutil.which("apt-get"):
        return False
    return os.geteuid() == 0 or subprocess.run([*as_root(), "true"], check=False).returncode == 0


def debian_sources(index_targets: str) -> list[str]:
    """Return apt source lines for Debian 12 from the machine's own, or nothing.

    `index_targets` is what `apt-get indextargets` prints in the format of
    `INDEX_FORMAT`. Only Debian's archives count, not what others add.

    >>> debian_sources("Debian|Debian|http://mirror.test/debian/\\n")
    ['deb http://mirror.test/debian bookworm main']
    """
    suites = {
        "Debian": RELEASE,
        "Debian-Security": f"{RELEASE}-security",
    }
    found: dict[str, str] = {}
    for line in index_targets.splitlines():
        origin, label, address = line.split("|")
        if origin == "Debian" and label in suites and label not in found:
            found[label] = f"deb {address.rstrip('/')} {suites[label]} main"
    return [found[label] for label in suites if label in found]


INDEX_FORMAT = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"


def _bootstrap(engine: Engine, image: str, say: Say) -> None:
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    settings = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
    ).stdout
    # The machine's way to its mirror (a proxy, an old snapshot) is the image's way too.
    passed_on = re.findall(
        r'^(Acquire::(?:https?::Proxy|Check-Valid-Until|Check-Date) "[^"]+";)', settings, re.M
    )
    with tempfile.TemporaryDirectory(prefix="handson-image-", dir="/var/tmp") as folder:
        root = Path(folder) / "root.tar"
        _follow(
            [
                *as_root(),
                "mmdebstrap",
                "--variant=minbase",
                # setup.sh leaves the list of the host's own repository; it has to stay.
                "--skip=cleanup/apt",
                *[f"--aptopt={line}" for line in passed_on],
                f"--customize-hook=copy-in {RECIPE} /root",
                '--customize-hook=chroot "$1" sh /root/image/setup.sh',
                '--customize-hook=rm -rf "$1/root/image"',
                RELEASE,
                str(root),
                *debian_sources(targets),
            ],
            say,
        )
        say(_("Handing the image to the engine"))
        engine.load(root, image)


def _follow(command: list[str], say: Say) -> None:
    """Run a long command, tell where it is, and raise LabError with its last lines."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or []:
            lines.append(line.rstrip())
            if step := re.match(r"Setting up (\S+)", line):
                say(_("Building the host image: {step}").format(step=step[1]))
    if process.returncode != 0:
        raise LabError(
            _("The host image could not be built:\n{tail}").format(tail="\n".join(lines[-10:])),
            _("Check that apt-get update works on this machine, then run `handson up` again."),
        )


def _build(engine: Engine, image: str, base: str, say: Say) -> None:
    say(_("Building the host image upon {base}").format(base=base))
    engine.fetch_base(base)
    try:
        # The machine's own network: a mirror or a proxy may listen on loopback only.
        engine.client.images.build(
            path=str(RECIPE), tag=image, buildargs={"BASE": base}, network_mode="host", rm=True
        )
    except (BuildError, APIError) as error:
        log = getattr(error, "build_log", None) or []
        tail = "".join(part.get("stream", "") for part in log).strip().splitlines()[-10:]
        raise LabError(
            _("The host image could not be built upon {base}:\n{tail}").format(
                base=base, tail="\n".join(tail) or str(error)
            ),
            _("Is the registry within reach? `--base IMAGE` chooses another Debian 12 image."),
        ) from None


def _drop_old(engine: Engine, image: str) -> None:
    """Remove the images of earlier recipes; one that a running lab uses stays."""
    recipe = _recipe(image)
    for old in engine.client.images.list(name=NAME):
        for name in old.tags:
            if _recipe(name) != recipe:
                try:
                    engine.client.images.remove(name)
                except APIError:
                    continue


def _recipe(image: str) -> str:
    return image.rpartition(":")[2].partition("-")[0]
