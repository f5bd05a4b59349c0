"""The host image: Debian 12 with systemd, sshd and Postfix, built once and kept.

Two ways lead to it. Where mmdebstrap can run (Debian or Ubuntu, as root) it makes the
root file system from the machine's own package source. Elsewhere the image is built
on a Debian image from a container registry. Both end with `image/setup.sh`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from handson.errors import LabError
from handson.i18n import _
from handson.lab import processes
from handson.lab.engine import Engine
from handson.lab.engine_errors import explanation, full_disk
from handson.lab.lock import hold_images
from handson.lab.processes import as_root, environment, may_be_root
from handson.lab.temporary import own_folder

RECIPE = Path(__file__).parent / "image"
NAME = "localhost/smtp-handson-host"
# Who made an image: another checkout's is never removed by this one.
LABEL, CHECKOUT = "handson.checkout", str(Path(__file__).parents[2])
REGISTRY_BASE = "docker.io/library/debian:12"
RELEASE = "bookworm"

# How engines say that a registry is out of reach, and that it lacks an image.
UNREACHABLE = ("connection refused", "no such host", "dial tcp", "timeout", "unreachable")
UNKNOWN = ("manifest unknown", "name unknown", "not found", "no such image")

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

    `base` names a Debian image to build on; when empty, mmdebstrap makes the base
    where it can run. Raises LabError with the last lines of a build that fails.
    """
    image = f"{NAME}:{tag(base)}"
    if not _is_there(engine, image):
        with hold_images("handson build"):
            if not _is_there(engine, image):  # somebody else may have been at it
                _make(engine, image, say, base)
    return image


def _is_there(engine: Engine, image: str) -> bool:
    try:
        engine.client.images.get(image)
        return True
    except ImageNotFound:
        return False


def _make(engine: Engine, image: str, say: Say, base: str) -> None:
    started = time.monotonic()
    say(_("Building the host image (once; a few minutes)"))
    if not base and can_bootstrap():
        _bootstrap(engine, image, say)
    else:
        _build(engine, image, base or REGISTRY_BASE, say)
    say(_("The host image is built ({seconds:.0f} s)").format(seconds=time.monotonic() - started))
    _drop_old(engine, image)


def can_bootstrap() -> bool:
    """Return whether mmdebstrap can make a root file system on this machine."""
    if not shutil.which("mmdebstrap") or not shutil.which("apt-get"):
        return False
    return may_be_root()


def _not_built(what: str, said: str, cure: str) -> LabError:
    """Return the error for a build that said this at its end."""
    return LabError(what, full_disk(said) or cure)


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
    with own_folder("image", "/var/tmp") as folder:
        root = folder / "root.tar"
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
        load(engine, root, image)


def _follow(command: list[str], say: Say) -> None:
    """Run a long command, tell where it is, and raise LabError with its last lines.

    Whoever is stopped meanwhile ends it.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment(),
    ) as process:
        try:
            for line in process.stdout or []:
                lines.append(line.rstrip())
                if step := re.match(r"Setting up (\S+)", line):
                    say(_("Building the host image: {step}").format(step=step[1]))
        except BaseException:
            # It removes what it has made so far, for which it takes some seconds.
            processes.end([psutil.Process(process.pid)], seconds=20)
            raise
    if process.returncode != 0:
        tail = "\n".join(lines[-10:])
        raise _not_built(
            _("The host image could not be built:\n{tail}").format(tail=tail),
            tail,
            _("Check that apt-get update works on this machine, then run `handson up` again."),
        )


def _build(engine: Engine, image: str, base: str, say: Say) -> None:
    say(_("Building the host image on {base}").format(base=base))
    fetch_base(engine, base)
    try:
        # The machine's own network: a mirror or a proxy may listen on loopback only.
        engine.client.images.build(
            path=str(RECIPE),
            tag=image,
            buildargs={"BASE": base},
            labels={LABEL: CHECKOUT},
            network_mode="host",
            rm=True,
        )
    except (BuildError, APIError) as error:
        log = getattr(error, "build_log", None) or []
        said = "".join(part.get("stream", "") for part in log)
        if " RUN " not in said:  # it did not come as far: the base itself is not there
            raise not_on(base, explanation(error)) from None
        tail = [*said.strip().splitlines()[-10:], explanation(error)]
        raise _not_built_on(base, "\n".join(tail)) from None


def fetch_base(engine: Engine, image: str) -> None:
    """Fetch an image that a build cannot fetch by itself; raise LabError if that fails.

    A registry on loopback speaks plain HTTP. Docker knows that; Podman has to be told,
    which only its own API can do (podman-system-service(1), libpod's ImagePullLibpod).
    """
    if not (engine.is_podman and is_on_loopback(image)):
        return
    answer = engine.client.api.post(
        f"{engine.client.api.base_url}/v4.0.0/libpod/images/pull",
        params={"reference": image, "tlsVerify": "false"},
    )
    told = [json.loads(line) for line in answer.text.splitlines() if line.startswith("{")]
    errors = [part["error"] for part in told if part.get("error")]
    errors += [part["message"] for part in told if part.get("message")]
    if errors or not answer.ok:
        raise not_on(image, errors[-1] if errors else answer.reason)


def not_on(base: str, said: str) -> LabError:
    """Return the error for a base image that could not be had: the engine said this."""
    words = said.lower()
    if any(sign in words for sign in UNREACHABLE):
        what = _("The registry {registry} of the image {base} cannot be reached: {reason}")
    elif any(sign in words for sign in UNKNOWN):
        what = _("The registry {registry} has no image {base}: {reason}")
    else:
        return _not_built_on(base, said)
    registry = base.partition("/")[0]
    return _not_built(what.format(registry=registry, base=base, reason=said), said, _other_base())


def _not_built_on(base: str, said: str) -> LabError:
    what = _("The host image could not be built on {base}:\n{reason}")
    return _not_built(what.format(base=base, reason=said), said, _other_base())


def _other_base() -> str:
    return _("`--base IMAGE` chooses another Debian 12 image.")


def load(engine: Engine, archive: Path, image: str) -> None:
    """Make an image of that name from a root file system's tar archive; LabError else."""
    changes = [f'LABEL {LABEL}="{CHECKOUT}"']
    try:
        if not engine.is_podman:
            repository, _colon, tag = image.rpartition(":")
            engine.client.api.import_image_from_file(str(archive), repository, tag, changes)
            return
        # Podman 4.3, asked as Docker is, forgets the name and leaves its copy of the
        # archive in /var/tmp for ever; asked in its own way it does neither.
        with archive.open("rb") as file:
            engine.client.api.post(
                f"{engine.client.api.base_url}/v4.0.0/libpod/images/import",
                params={"reference": image, "changes": changes},
                data=file,
                headers={"Content-Type": "application/x-tar"},
            ).raise_for_status()
    except (DockerException, OSError) as error:
        answer = explanation(error)
        raise _not_built(
            _("The engine refused the host image: {answer}").format(answer=answer),
            answer,
            _("Run `handson up` again; `podman info` or `docker info` tells what the engine has."),
        ) from None


def is_on_loopback(image: str) -> bool:
    """Return whether an image's name says that its registry is on this machine.

    >>> is_on_loopback("127.0.0.1:5000/debian:12"), is_on_loopback("debian:12")
    (True, False)
    """
    host = image.partition("/")[0].rpartition(":")[0].strip("[]")
    return "/" in image and (host.startswith("127.") or host in ("localhost", "::1"))


def _drop_old(engine: Engine, image: str) -> None:
    """Remove what earlier recipes of this checkout made; one that a running lab uses stays."""
    recipe = _recipe(image)
    mine = {"label": f"{LABEL}={CHECKOUT}"}
    for old in engine.client.images.list(name=NAME, filters=mine):
        for name in old.tags:
            if _recipe(name) != recipe:
                try:
                    engine.client.images.remove(name)
                except APIError:
                    continue


def _recipe(image: str) -> str:
    return image.rpartition(":")[2].partition("-")[0]
