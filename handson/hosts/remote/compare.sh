#!/bin/sh
# Print what has to be done with $file: 'copy SOURCE', 'remove', or nothing. A backup that
# bears the step's own $mark was made when the step had been done by hand already.
: "${file?}" "${source?}" "${start?}" "${mark?}"
if [ -n "$mark" ] && grep -Eqs "$mark" "$source"; then source=; fi
if [ -z "$source" ]; then
  [ -d "$start" ] || exit 0
  source=$start$file
  [ -e "$source" ] || source=/dev/null
fi
if [ ! -s "$source" ]; then
  [ ! -e "$file" ] || echo remove
elif ! cmp -s "$source" "$file"; then
  echo "copy $source"
fi
