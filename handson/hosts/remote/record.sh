#!/bin/sh
# Record what there is on a host, under each of $names in $folder. A record gets its name at the
# end: one that has it is complete.
: "${names?}" "${files?}" "${database?}" "${folder?}"
set -eu
home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
for name in $names; do
  [ ! -d "$folder/$name" ] || continue
  draft=$folder/.$name.$$
  install -d -m 0700 /var/lib/smtp-handson "$folder" "$draft"
  if command -v dpkg-query >/dev/null; then
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p'
  else
    rpm -qa --qf '%{NAME}\n'
  fi > "$draft/packages"
  for file in $files; do
    [ -e "$file" ] || continue
    mkdir -p "$draft${file%/*}"
    cp -a "$file" "$draft$file"
  done
  [ ! -e "$home/.mailrc" ] || cp -a "$home/.mailrc" "$draft/mailrc"
  ! systemctl --quiet is-active saslauthd || : > "$draft/saslauthd"
  [ ! -e "$database" ] || stat -c '%U:%G %a' "$database" > "$draft/sasldb"
  mv -T "$draft" "$folder/$name" 2>/dev/null || rm -rf "$draft"
done
