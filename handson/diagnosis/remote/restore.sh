#!/bin/sh
# Put back what is kept aside as $id, between the commands $before and $after.
: "${id?}" "${before?}" "${after?}"
set -eu
cd "/var/lib/smtp-handson/faults/$id"
is_kept_active() { grep -qx "$1" active 2>/dev/null; }
eval "$before"
number=0
[ ! -e paths ] || while read -r path; do
  rm -rf "$path"
  [ ! -e "$number" ] || cp -a "$number" "$path"
  number=$((number + 1))
done < paths
eval "$after"
cd /
rm -rf "/var/lib/smtp-handson/faults/$id"
