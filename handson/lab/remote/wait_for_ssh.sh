#!/bin/sh
# Wait until sshd has its host keys and listens. What is the matter with a host that does not get
# there stands in its journal.
end=$(($(date +%s) + 50))
until [ -s /etc/ssh/ssh_host_ecdsa_key.pub ] && ss -Hlnt | grep -q ':22 '; do
    if [ "$(date +%s)" -gt $end ]; then
        echo "$(systemctl is-system-running), $(systemctl list-jobs --no-legend | wc -l) jobs"
        journalctl -b -n 4 --no-pager
        exit 1
    fi
    sleep 0.05
done
