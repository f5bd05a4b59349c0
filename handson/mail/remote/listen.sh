#!/bin/sh
# Begin to read the packets of a $port: root's alone, and for a minute at most, whatever becomes
# of the kernel.
: "${port?}"
umask 077
setsid timeout 60 tcpdump -i any -A -l -n -s 0 tcp port "$port" \
    > /root/wire.txt 2> /root/wire.log < /dev/null &
until grep -q 'listening on' /root/wire.log 2>/dev/null; do sleep 0.05; done
