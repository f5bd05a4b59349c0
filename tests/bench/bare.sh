#!/bin/sh
# The job of notebooks 02 to 07 and nothing else: no checks, no explanations, no report.
# What the course is measured against. Usage: bare.sh SSH_CONFIG SERVER_IP < PASSWORD
set -eu
config=$1 server_ip=$2
read -r password
sockets=$(mktemp -d)
on() {
    ssh -F "$config" -o ControlMaster=auto -o "ControlPath=$sockets/%n" -o ControlPersist=60 "$@"
}
end() {
    for host in client server pc; do on "$host" -O exit 2>/dev/null || true; done
    rm -rf "$sockets"
}
trap end EXIT

on server sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -q sasl2-bin libsasl2-modules
printf 'pwcheck_method: auxprop\nmech_list: PLAIN\n' |
    on server sudo tee /etc/postfix/sasl/smtpd.conf
printf '%s' "$password" |
    on server sudo saslpasswd2 -p -c -f /etc/sasldb2 -u example.com smtp-auth
on server 'sudo chown root:postfix /etc/sasldb2 && sudo chmod 0640 /etc/sasldb2'
on server 'sudo cp -a /etc/postfix/main.cf /etc/postfix/main.cf.$(date +%Y%m%d)
    sudo postconf -e "smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
    sudo postconf -e "smtpd_sasl_auth_enable = yes" "mynetworks = 127.0.0.0/8"'
on server 'sudo cp -a /etc/postfix/master.cf /etc/postfix/master.cf.$(date +%Y%m%d)
    sudo postconf -M submission/inet="submission inet n - n - - smtpd"
    sudo postconf -P submission/inet/smtpd_client_restrictions=permit_sasl_authenticated,reject'
on server sudo systemctl restart postfix
on client sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -q s-nail
printf 'set smtp-auth=plain\nset smtp-auth-user=smtp-auth@example.com\nset smtp-auth-password=%s\nset sendwait\n' "$password" |
    on client 'umask 077; cat > ~/.mailrc'
on client "echo smtp-handson | s-nail -v -s 'Relay Success via 587' -S smtp=smtp://$server_ip:587 -r hello@example.com friend@example.net"
on server 'until sudo grep -q "sasl_username=.*" /var/log/mail.log && sudo grep -q "status=sent" /var/log/mail.log; do sleep 0.1; done'
on server sudo tail -n 20 /var/log/mail.log
