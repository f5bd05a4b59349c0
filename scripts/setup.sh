#!/bin/sh
# Make this machine ready for the course: .venv with the package, a container engine and
# the host image. Run again, it only looks. `scripts/setup.sh test` adds what the tests need.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
LOG=$VENV/setup.log
ENGINE_PACKAGES="podman runc netavark aardvark-dns nftables iptables openssh-client"
IMAGE_PACKAGES="mmdebstrap apt-utils debian-archive-keyring"
TEST_PACKAGES="chromium fonts-dejavu-core docker-registry passwd python3 sudo"

say() { printf '%s\n' "$*"; }
give_up() {
    say "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
follow() { # follow LOG COMMAND…: run it, and on a terminal show where it is
    log=$1
    shift
    if [ -t 1 ]; then
        { "$@" 2>&1 && echo 0 >"$log.status" || echo 1 >"$log.status"; } | tee "$log" |
            awk '/^(Collecting|Unpacking|Setting up|Building|Installing) / {
                sub(/ \(.*/, ""); printf "\r\033[K  %.70s", $0; fflush() }
                END { printf "\r\033[K" }'
        read -r status <"$log.status"
        rm -f "$log.status"
        return "$status"
    fi
    "$@" >"$log" 2>&1
}

# -- root, where it is needed ---------------------------------------------------------

root=unknown
may_be_root() {
    if [ "$root" = unknown ]; then
        root=no
        if [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }; then
            root=yes
        elif has sudo && [ -t 0 ] && sudo -v; then
            root=yes
        fi
    fi
    [ "$root" = yes ]
}
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# -- packages of Debian or Ubuntu ------------------------------------------------------

missing() { # missing PACKAGE…: print those that are not installed
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || printf '%s ' "$package"
    done
}
apt_lists_are_old() {
    lists=/var/lib/apt/lists
    [ -z "$(find "$lists" -maxdepth 1 -name '*_Packages*' 2>/dev/null | head -n 1)" ] ||
        [ -z "$(find "$lists" -maxdepth 1 \( -name '*_Packages*' -o -name '*Release' \) -mtime -1 2>/dev/null | head -n 1)" ]
}
apt_install() { # apt_install WHAT PACKAGE…
    what=$1
    shift
    wanted=$(missing "$@")
    [ -n "$wanted" ] || return 0
    say "Installing $what: $wanted"
    out=$(mktemp)
    if apt_lists_are_old; then
        as_root apt-get update -q >"$out" 2>&1 || { tail -n 5 "$out" >&2; }
    fi
    for package in $wanted; do # a release may lack one that another one needs
        apt-cache show "$package" >/dev/null 2>&1 || wanted=$(printf '%s' "$wanted" | sed "s/$package //")
    done
    # shellcheck disable=SC2086 # a list of words
    if ! follow "$out" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        -o DPkg::Lock::Timeout=300 --no-install-recommends $wanted; then
        tail -n 15 "$out" >&2
        rm -f "$out"
        give_up "apt-get could not install $wanted: the lines above say why."
    fi
    rm -f "$out"
}

# -- the container engine ---------------------------------------------------------------

may_install() { has apt-get && may_be_root; }
is_engine_there() { # an engine may be there; whether it answers is asked of the lab, later
    [ -n "${DOCKER_HOST:-}" ] || has podman || has docker || [ -S /var/run/docker.sock ] ||
        [ -S "${XDG_RUNTIME_DIR:-/nonexistent}/podman/podman.sock" ] || [ -S /run/podman/podman.sock ]
}
ask_lab() { # set `found` to what a new lab would be on, docker or podman; else `reason` to why
    status=0
    found=$("$VENV/bin/python" -m handson.lab.engine_service 2>"$VENV/engine.log") || status=$?
    reason=$(cat "$VENV/engine.log")
}
engine() {
    ask_lab
    # 2: somebody has named an engine, which does not answer. Nothing else is chosen for them.
    if [ "$status" = 1 ] && ! has podman && may_install; then
        # shellcheck disable=SC2086
        apt_install "a container engine" $ENGINE_PACKAGES
        ask_lab
    fi
    [ "$status" = 0 ] || give_up "$reason"
    if [ "$found" = podman ] && [ -z "${DOCKER_HOST:-}" ] && may_install; then
        # Podman may be there without all that the lab needs of it.
        # shellcheck disable=SC2086
        apt_install "what Podman needs" $ENGINE_PACKAGES
    fi
    if may_install; then
        # shellcheck disable=SC2086
        apt_install "the tools for the host image" $IMAGE_PACKAGES
    fi
}

# Each host of a lab takes about ten of these, and many systems allow 128 to a user: the
# fourth lab beside three others would not start. Until the next boot, 1024 are allowed.
watches() {
    limit=/proc/sys/fs/inotify/max_user_instances
    if [ -r "$limit" ] && [ "$(cat "$limit")" -lt 1024 ] && may_be_root; then
        echo 1024 | as_root tee "$limit" >/dev/null 2>&1 || true
    fi
}

# -- Python -------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
makes_venvs() { is_new_enough "$1" && "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }
find_python() { # find_python TEST: print the first interpreter that passes
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$1" "$candidate"; then
            printf '%s' "$candidate"
            return 0
        fi
    done
    return 1
}
python() {
    if "$VENV/bin/python" -c '' 2>/dev/null && cmp -s pyproject.toml "$VENV/pyproject.toml" &&
        [ "$(cat "$VENV/place" 2>/dev/null)" = "$PWD" ]; then
        return 0
    fi
    if ! found=$(find_python makes_venvs); then
        if has apt-get && may_be_root; then
            apt_install "Python" python3 python3-venv
        fi
        found=$(find_python makes_venvs) ||
            give_up "Python 3.11 or newer with its venv module is needed: install it, then run this again."
    fi
    if [ "$(cat "$VENV/place" 2>/dev/null)" != "$PWD" ] || ! "$VENV/bin/python" -c '' 2>/dev/null; then
        say "Making .venv with $("$found" --version)"
        "$found" -m venv --clear "$VENV"
        printf '%s\n' "$PWD" >"$VENV/place"
    fi
    rm -f "$VENV/pyproject.toml"
    say "Installing the Python packages (a minute or two)"
    if ! follow "$LOG" "$VENV/bin/python" -m pip install --no-input --progress-bar off -e '.[dev]'; then
        tail -n 15 "$LOG" >&2
        give_up "pip could not install the packages: the lines above say why."
    fi
    cp pyproject.toml "$VENV/pyproject.toml"
}

# -- the host image -------------------------------------------------------------------------

image() {
    recipe=$(cat handson/lab/image/* | cksum)
    [ "$(cat "$VENV/image" 2>/dev/null)" = "$recipe" ] && return 0
    "$VENV/bin/handson" build
    printf '%s\n' "$recipe" >"$VENV/image"
}

tests() {
    if has apt-get && may_be_root; then
        had_registry=$(missing docker-registry)
        # shellcheck disable=SC2086
        apt_install "what the tests need" $TEST_PACKAGES
        # The tests start a registry of their own; a service of the machine was not asked for.
        if [ -n "$had_registry" ] && [ -d /run/systemd/system ]; then
            as_root systemctl disable --now docker-registry >/dev/null 2>&1 || true
        fi
    fi
}

case "$(uname -s 2>/dev/null || :)" in
    MINGW* | MSYS* | CYGWIN*) give_up "The course does not run on Windows itself: run this in WSL2 (wsl --install)." ;;
esac
is_engine_there || may_install || give_up "No container engine was found and none can be installed" \
    "without root: install Podman (sudo apt-get install podman) or Docker, then run this again."
watches
python
engine
image
if [ "${1:-}" = test ]; then tests; fi
