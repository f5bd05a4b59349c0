#!/bin/sh
# Begin to read the packets of a $port: root's alone, and for a minute at most, whatever becomes
# of the kernel.
: "${port?}"
command -v tcpdump > /dev/null || { echo 'tcpdump is not installed' >&2; exit 1; }
umask 077
setsid timeout 60 tcpdump -i any -A -l -n -s 0 tcp port "$port" \
    > /root/wire.txt 2> /root/wire.log < /dev/null &
echo $! > /root/wire.pid
until grep -q 'listening on' /root/wire.log 2>/dev/null; do
    kill -0 "$(cat /root/wire.pid)" || { cat /root/wire.log >&2; exit 1; }
    sleep 0.05
done
