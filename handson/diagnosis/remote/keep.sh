#!/bin/sh
# Copy $files aside as $id, with a $note. The folder gets its name at the end: one that has it is
# complete, so that fixing after a kernel was killed half way puts back everything.
: "${files?}" "${id?}" "${note?}"
set -eu
folder=/var/lib/smtp-handson/faults
draft=$folder/.draft
install -d -m 0700 /var/lib/smtp-handson "$folder"
rm -rf "$draft"
install -d -m 0700 "$draft"
number=0
for path in $files; do
  printf '%s\n' "$path" >> "$draft/paths"
  [ ! -e "$path" ] || cp -a "$path" "$draft/$number"
  number=$((number + 1))
done
for unit in saslauthd rsyslog; do
  ! systemctl is-active -q "$unit" || echo "$unit" >> "$draft/active"
done
printf '%s' "$note" > "$draft/note"
mv "$draft" "$folder/$id"
