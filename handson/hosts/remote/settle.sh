#!/bin/sh
# A run that was killed leaves its installation going on, or half done.
tries=0
while pgrep -x 'apt-get|dpkg|dnf|yum|rpm' >/dev/null && [ "$tries" -lt 240 ]; do
  sleep 0.25
  tries=$((tries + 1))
done
if command -v dpkg >/dev/null && [ -n "$(dpkg --audit; ls /var/lib/dpkg/updates)" ]; then
  DEBIAN_FRONTEND=noninteractive dpkg --configure -a
fi
