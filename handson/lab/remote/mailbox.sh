#!/bin/sh
# Accept mail for any address of any domain into one Maildir, each mail marked with the address it
# came for (virtual(8) refuses to make up folders from addresses).
install -d -o admin -g admin /srv/mail
postconf -e 'myhostname = mailbox.lab' 'mydestination =' 'inet_interfaces = all' \
  'inet_protocols = ipv4' 'virtual_mailbox_domains = static:all' \
  'virtual_mailbox_base = /srv/mail' \
  'virtual_mailbox_maps = static:received/' \
  'virtual_uid_maps = static:48221' 'virtual_gid_maps = static:48221'
systemctl restart postfix
until ss -Hlnt | grep -q ':25 '; do sleep 0.05; done
