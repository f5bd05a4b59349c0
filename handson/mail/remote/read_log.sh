#!/bin/sh
# Prints the newest lines of the mail log, the oldest of them first, rotated files included.
# Arguments: since when (seconds since 1970; 0: from the beginning), how many bytes at most,
# and the file of the log ('': it is in the journal). Lines up to an hour older may come too.
since=$1 size=$2 log=$3

if [ -z "$log" ]; then
  # It reads from the end and stops: all of a large journal would take minutes.
  journalctl SYSLOG_FACILITY=2 --no-pager -q -o short-iso --since "@$since" -n "$((size / 150))" |
    tail -c "$size"
  exit
fi

# From the newest file back to the one that was written last before that moment.
files='' left=$size
names=$(ls -1t "$log" "$log".[0-9]* "$log"-[0-9]* 2>/dev/null)
for file in $names; do
  [ "$(stat -c %Y "$file")" -ge "$since" ] || break
  files="$file $files"
  bytes=$(stat -c %s "$file")
  case $file in *.gz | *.xz | *.bz2 | *.zst) bytes=$((bytes * 10)) ;; esac
  left=$((left - bytes))
  [ "$left" -gt 0 ] || break
done

# In local time, as the stamps are; an hour less, for a clock that was put back.
from=$(date -d "@$((since > 3600 ? since - 3600 : 0))" +%Y%m%d%H%M%S)

for file in $files; do
  case $file in
    *.gz) gzip -dc "$file" ;;
    *.xz) xz -dc "$file" ;;
    *.bz2) bzip2 -dc "$file" ;;
    *.zst) zstd -dqc "$file" ;;
    *) tail -c "$size" "$file" ;;
  esac
done | tail -c "$size" | awk -v from="$from" -v year="$(date +%Y)" -v month="$(date +%m)" '
  # The log is in the order of time: behind the first line that counts all lines do.
  counts { print; next }
  /^[0-9][0-9][0-9][0-9]-/ {
    stamp = substr($0, 1, 4) substr($0, 6, 2) substr($0, 9, 2)
    stamp = stamp substr($0, 12, 2) substr($0, 15, 2) substr($0, 18, 2)
    if (stamp "" >= from "") { counts = 1; print }
    next
  }
  {
    place = index("JanFebMarAprMayJunJulAugSepOctNovDec", substr($0, 1, 3))
    if (place % 3 != 1) { print; next }
    number = (place + 2) / 3
    # A month that is still to come was one of last year.
    stamp = sprintf("%04d%02d%02d", year - (number > month + 0), number, substr($0, 5, 2))
    stamp = stamp substr($0, 8, 2) substr($0, 11, 2) substr($0, 14, 2)
    if (stamp "" >= from "") { counts = 1; print }
  }'
