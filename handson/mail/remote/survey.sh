#!/bin/sh
# Print all that the diagnosis has to know of a server, a section for each fact.
: "${conf?}" "${default?}" "${folders?}"
db=$(sed -n 's/^sasldb_path:[[:space:]]*//p' "$conf" 2>/dev/null | head -n 1)
db=${db:-$default}
section() { printf '\n== %s\n' "$1"; }
value() { printf '%s\n' "$known" | sed -n "s/^$1 = //p"; }
# Each postconf sleeps for a second before it gives up: where one cannot read master.cf, no
# other is asked, and main.cf is read as it stands.
services=$(postconf -M 2>&1) && readable=yes || readable=
section services; printf '%s\n' "$services"
if [ "$readable" ]; then
  section warnings; { postconf -n > /dev/null; } 2>&1
  section explicit; postconf -n 2>/dev/null
  known=$(postconf smtpd_sasl_auth_enable smtpd_sasl_type smtpd_sasl_security_options \
    smtpd_sasl_local_domain smtpd_recipient_restrictions smtpd_relay_restrictions \
    smtpd_client_restrictions smtpd_helo_restrictions smtpd_sender_restrictions \
    smtpd_tls_security_level smtpd_tls_auth_only smtpd_tls_cert_file smtpd_tls_key_file \
    smtpd_tls_chain_files smtpd_discard_ehlo_keywords inet_interfaces inet_protocols maillog_file mynetworks myhostname \
    compatibility_level mail_version queue_directory mail_owner 2>/dev/null)
  section defaults; printf '%s\n' "$known"
  section types; postconf -m 2>/dev/null
else
  known=$(grep '^[a-z]' /etc/postfix/main.cf)
  section explicit; printf '%s\n' "$known"
fi
owner=$(value mail_owner); owner=${owner:-postfix}
queue=$(value queue_directory); queue=${queue:-/var/spool/postfix}
section master; grep -n . /etc/postfix/master.cf
section main; grep -n . /etc/postfix/main.cf
section sockets; ss -Hnlt4
section addresses; ip -4 -o addr show | sed -E 's/.* inet ([0-9.]+).*/\1/'
section running
pid=$(tr -d ' ' < "$queue/pid/master.pid" 2>/dev/null)
[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = master ] && echo yes
section conf; cat "$conf" 2>/dev/null
section places; for one in $folders; do [ -e "$one/smtpd.conf" ] && echo "$one/smtpd.conf"; done
section plugins; find /usr/lib /usr/lib64 -name 'libplain.so*' 2>/dev/null
section database; stat -c '%U:%G %a %s' "$db" 2>/dev/null
section magic; head -c 16 "$db" 2>/dev/null | od -A n -t x1 | tr -d ' \n'
section reads; sudo -n -u "$owner" test -r "$db" 2>/dev/null && echo yes
section caged; [ -e "$queue$db" ] && echo yes
section users; sasldblistusers2 -f "$db" 2>/dev/null
section saslauthd; for one in /run/saslauthd /run/saslauthd/mux; do
  [ -e "$one" ] && stat -c '%n %U:%G %a' "$one"; done
section certificate
for file in $(value smtpd_tls_cert_file) $(value smtpd_tls_chain_files | tr , ' '); do
  [ -r "$file" ] && echo "$file"; done
section ages; for pid in $(pgrep -x smtpd 2>/dev/null); do ps -o etimes= -p "$pid"; done
section edited; [ -e "$conf" ] && echo $(( $(date +%s) - $(stat -c %Y "$conf") ))
section now; date +%s
section changed; stat -c '%n %Y' /etc/postfix/main.cf /etc/postfix/master.cf 2>/dev/null
section networks
for one in $(value mynetworks | tr , ' '); do
  case $one in /*) sed 's/#.*//' "$one" 2>/dev/null | xargs -n 1 ;; *) echo "$one" ;; esac; done
section resolvers; sed -n 's/^nameserver *//p' /etc/resolv.conf
section writers; for one in rsyslog syslog-ng; do
  systemctl is-active -q "$one" 2>/dev/null && echo "$one"; done
section logs; ls /var/log/mail.log /var/log/maillog 2>/dev/null
exit 0
