#!/bin/sh
# Run the course and tests of the lab on Docker, and say of each whether it passed.
# `scripts/test-docker.sh FILE…` runs those tests only, without the course.
#
# A Docker that answers is used. Where none does, root on Debian gets Debian's own: unpacked, not
# installed, and started in a network namespace of its own, so that none of its networks and
# rules is the machine's. At the end it is ended, and what it made is removed.
set -eu
cd "$(dirname "$0")/.."

TESTS="test_cli test_nothing_leaves test_security_groups test_instances test_lost_hosts"
PYTHON=${PYTHON:-.venv/bin/python}
NAME=handson-docker-$$
FOLDER=/var/tmp/$NAME
daemon=

give_up() {
    printf '%s\n' "$*" >&2
    exit 1
}
# shellcheck disable=SC2329 # by trap
clear_up() {
    trap '' INT TERM HUP
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    ip netns delete "$NAME" 2>/dev/null || true
    # A name space that a process was in stays mounted for as long as something refers to it.
    awk -v under="$FOLDER/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r place; do
            umount "$place" 2>/dev/null || umount -l "$place" 2>/dev/null || true
        done
    rm -rf "$FOLDER"
}
inside() { nsenter --net="/run/netns/$NAME" "$@"; }

start_docker() {
    [ "$(id -u)" = 0 ] || give_up "No Docker answers here, and only root can start one for these tests."
    for program in apt-get podman nsenter; do
        command -v "$program" >/dev/null ||
            give_up "No Docker answers here, and without $program none can be started: start it yourself."
    done
    trap clear_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    mkdir -m 0700 "$FOLDER" "$FOLDER/packages"
    (cd "$FOLDER/packages" && apt-get -o APT::Sandbox::User=root -q download docker.io containerd) >"$FOLDER/log" 2>&1 ||
        give_up "Debian's packages docker.io and containerd cannot be fetched: $(tail -n 1 "$FOLDER/log")"
    for package in "$FOLDER"/packages/*.deb; do dpkg-deb -x "$package" "$FOLDER/unpacked"; done
    PATH=$FOLDER/unpacked/usr/bin:$FOLDER/unpacked/usr/sbin:$PATH
    ip netns add "$NAME"
    inside ip link set lo up
    DOCKER_HOST=unix://$FOLDER/docker.sock
    export DOCKER_HOST PATH
    # Not by `inside`: the number would be that of a shell around it.
    nsenter --net="/run/netns/$NAME" dockerd --data-root "$FOLDER/data" \
        --exec-root "$FOLDER/run" --pidfile "$FOLDER/pid" \
        --host "$DOCKER_HOST" --default-ulimit nofile=1024:1024 >"$FOLDER/dockerd.log" 2>&1 &
    daemon=$!
    tries=0
    until docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" = 300 ] || ! kill -0 "$daemon" 2>/dev/null; then
            give_up "Docker did not start: $(tail -n 3 "$FOLDER/dockerd.log")"
        fi
        sleep 0.2
    done
    # It has no way out for a build: the image is the one that was built for Podman.
    image=$(env -u DOCKER_HOST "$PYTHON" -m handson.cli.main build | sed -n 's/.* \(localhost.*\)\.$/\1/p')
    [ -n "$image" ] || give_up "The host image could not be built."
    podman save --quiet "$image" | docker load --quiet >/dev/null
}

if docker version >/dev/null 2>&1; then
    inside() { "$@"; }
else
    [ -z "${DOCKER_HOST:-}" ] || give_up "DOCKER_HOST is set, and no Docker answers there."
    start_docker
fi

status=0
results=
try() { # try WHAT COMMAND…
    what=$1
    shift
    began=$(date +%s)
    if inside "$@"; then result=passed; else result=FAILED status=1; fi
    results="$results$(printf '%-28s %-7s %4d s' "$what" "$result" $(($(date +%s) - began)))
"
}
if [ $# = 0 ]; then
    try "the course" "$PYTHON" -m handson.cli.main run --target lab --name docker
    for test in $TESTS; do set -- "$@" "tests/lab/$test.py"; done
fi
for test; do
    try "$(basename "$test" .py)" "$PYTHON" -m pytest -q -p no:nbval -m "lab" "$test"
done
docker version --format 'Docker {{.Server.Version}}, Linux {{.Server.KernelVersion}}'
docker info --format 'control groups of version {{.CgroupVersion}}, {{.Driver}}, {{.OperatingSystem}}'
printf '%s' "$results"
exit "$status"
