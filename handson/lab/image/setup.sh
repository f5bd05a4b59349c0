#!/bin/sh
# Turn a minimal Debian 12 into a host of the lab. Runs as root inside the new root file
# system, while a package source is still within reach.
set -eu
export DEBIAN_FRONTEND=noninteractive
here=$(dirname "$0")

# Services must not start while the image is made.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d

printf 'path-exclude=/usr/share/%s/*\n' doc man locale info > /etc/dpkg/dpkg.cfg.d/small

apt-get update -q
apt-get install -y -q --no-install-recommends \
    systemd systemd-sysv dbus openssh-server sudo postfix rsyslog python3-minimal python3 \
    iproute2 nftables dnsmasq-base procps ca-certificates apt-utils diffutils less \
    vim-tiny tcpdump

# What the course installs lies in a repository on the host itself, since a host of the
# lab has no way out: a free gateway endpoint does this on EC2.
mkdir -p /srv/repo/partial
apt-get install -y -q --no-install-recommends --download-only \
    -o Dir::Cache::archives=/srv/repo \
    sasl2-bin libsasl2-modules s-nail
rm -rf /srv/repo/partial /srv/repo/lock
(cd /srv/repo && apt-ftparchive packages . > Packages && gzip -k9f Packages)
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
apt-get update -q
apt-get clean

# The login user of Debian's own images for EC2. A host's users have numbers of the machine's
# own: with 1000 this one would be the machine's first user, who could then enter the host.
useradd --create-home --shell /bin/bash --uid 48221 admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/admin
chmod 0440 /etc/sudoers.d/admin
install -d -m 0700 -o admin -g admin /home/admin/.ssh
# Debian's own main.cf names a certificate that is not there.
postconf -X smtpd_tls_cert_file smtpd_tls_key_file smtpd_tls_security_level

# Someone new to a host sees its log and its mail queue without being root.
usermod -aG adm admin

cat > /etc/ssh/sshd_config.d/lab.conf <<'CONF'
PasswordAuthentication no
PermitRootLogin no
UseDNS no
CONF
rm -f /etc/ssh/ssh_host_*

# A container has no kernel log of its own to read.
sed -i '/imklog/d' /etc/rsyslog.conf

install -m 0755 "$here/user-data" /usr/local/sbin/user-data
install -m 0644 "$here/user-data.service" "$here/host-keys.service" /etc/systemd/system/
systemctl enable host-keys.service
systemctl disable postfix.service
systemctl mask systemd-resolved.service systemd-timesyncd.service apt-daily.timer \
    apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \
    getty.target console-getty.service systemd-firstboot.service 2>/dev/null
# A login over ssh need not wait for the whole boot.
ln -s /dev/null /etc/tmpfiles.d/systemd-nologin.conf
# An ordinary user of Amazon Linux finds postconf and ss without naming their folder.
echo 'PATH=$PATH:/usr/sbin:/sbin' > /etc/profile.d/sbin.sh

# What the lab runs in a host makes sure first that it is in one.
: > /etc/handson-lab
: > /etc/machine-id
rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/small
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*.log /var/log/apt
