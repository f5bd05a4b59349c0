#!/bin/sh
# End the reading of packets, and print them.
sleep 0.3
kill "$(cat /root/wire.pid)" 2>/dev/null || true
sleep 0.2
cat /root/wire.log /root/wire.txt
rm -f /root/wire.txt /root/wire.log /root/wire.pid
