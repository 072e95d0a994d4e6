# SPDX-License-Identifier: GPL-2.0-or-later
"""Rulesets of others, as they make them: Docker's for one published container, ufw's for a host that lets ssh and web in."""

DOCKER_FILTER = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o {bridge} -j DOCKER
-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT
-A FORWARD -i {bridge} -o {bridge} -j ACCEPT
-A DOCKER -d {container}/{host} ! -i {bridge} -o {bridge} -p tcp -m tcp --dport {inner} -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""

DOCKER_NAT = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {network} ! -o {bridge} -j MASQUERADE
-A POSTROUTING -s {container}/{host} -d {container}/{host} -p tcp -m tcp --dport {inner} -j MASQUERADE
-A DOCKER -i {bridge} -j RETURN
-A DOCKER ! -i {bridge} -p tcp -m tcp --dport {outer} -j DNAT --to-destination {target}:{inner}
COMMIT
"""

UFW_FILTER = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:{u}-before-input - [0:0]
:{u}-user-input - [0:0]
:{u}-after-input - [0:0]
:{u}-skip-to-policy-input - [0:0]
:{u}-not-local - [0:0]
:{u}-before-output - [0:0]
:{u}-user-output - [0:0]
:{u}-track-output - [0:0]
:{u}-before-forward - [0:0]
:{u}-user-forward - [0:0]
-A INPUT -j {u}-before-input
-A INPUT -j {u}-after-input
-A OUTPUT -j {u}-before-output
-A OUTPUT -j {u}-track-output
-A FORWARD -j {u}-before-forward
-A {u}-before-input -i lo -j ACCEPT
-A {u}-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {u}-before-input -m conntrack --ctstate INVALID -j DROP
-A {u}-before-input -p {icmp} -j ACCEPT
-A {u}-before-input -j {u}-not-local
-A {u}-before-input -j {u}-user-input
{not_local}
-A {u}-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A {u}-user-input -p tcp -m tcp --dport 80 -j ACCEPT
-A {u}-after-input -p udp -m udp --dport 137 -j {u}-skip-to-policy-input
-A {u}-skip-to-policy-input -j DROP
-A {u}-before-output -o lo -j ACCEPT
-A {u}-before-output -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {u}-before-output -j {u}-user-output
-A {u}-track-output -p tcp -m conntrack --ctstate NEW -j ACCEPT
-A {u}-track-output -p udp -m conntrack --ctstate NEW -j ACCEPT
-A {u}-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {u}-before-forward -j {u}-user-forward
COMMIT
"""

NOT_LOCAL = """\
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -m addrtype --dst-type BROADCAST -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-not-local -j DROP"""


def restore(namespace, family, text):
    namespace.run("ip6tables-restore" if family == 6 else "iptables-restore", text=text)


def docker(namespace, bridge, networks, containers, outer, inner):
    """What dockerd writes for one container with `-p outer:inner`, both families; the dicts are by family."""
    for family, container in containers.items():
        words = {
            "bridge": bridge, "container": container, "network": networks[family], "outer": outer, "inner": inner,
            "host": 128 if family == 6 else 32, "loopback": "::1/128" if family == 6 else "127.0.0.0/8",
            "target": f"[{container}]" if family == 6 else container,
        }
        restore(namespace, family, DOCKER_FILTER.format(**words) + DOCKER_NAT.format(**words))


def ufw(namespace):
    """`ufw default deny; ufw allow ssh; ufw allow http; ufw enable`."""
    restore(namespace, 4, UFW_FILTER.format(u="ufw", icmp="icmp", not_local=NOT_LOCAL))
    restore(namespace, 6, UFW_FILTER.format(u="ufw6", icmp="ipv6-icmp", not_local="-A ufw6-not-local -j RETURN"))
