# SPDX-License-Identifier: GPL-2.0-or-later
"""Other programs' implementations of the PROXY protocol, at either end: HAProxy's and nginx's."""

import os
import subprocess

from topology import eventually

# Where the module that forwards TCP is, if it is not a part of nginx itself.
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

HAPROXY = """\
global
    nbthread 1
    maxconn 500
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""

HAPROXY_TELLS = HAPROXY + """\
frontend tells
    mode http
    bind {bind} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""

HAPROXY_SENDS = HAPROXY + """\
listen sends
    mode tcp
    bind {bind}
    server gate {to} {option}
"""

NGINX = """\
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
{module}
events {{ worker_connections 500; }}
"""

NGINX_TELLS = NGINX + """\
http {{
    access_log off;
    client_body_temp_path {dir}/tmp-body;
    proxy_temp_path {dir}/tmp-proxy;
    fastcgi_temp_path {dir}/tmp-fastcgi;
    uwsgi_temp_path {dir}/tmp-uwsgi;
    scgi_temp_path {dir}/tmp-scgi;
    server {{
        listen {bind} proxy_protocol;
        default_type text/plain;
        return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
    }}
}}
"""

NGINX_SENDS = NGINX + """\
stream {{
    server {{
        listen {bind};
        proxy_pass {to};
        proxy_protocol on;
    }}
}}
"""


class Program:
    """One of them, until close()."""

    def __init__(self, namespace, directory, kind, text, port, **words):
        self.directory = os.path.join(directory, f"{kind}-{port}")
        os.makedirs(self.directory)
        module = f"load_module {STREAM_MODULE};" if os.path.exists(STREAM_MODULE) else ""
        conf = os.path.join(self.directory, "conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(text.format(dir=self.directory, module=module, **words))
        argv = ["haproxy", "-db", "-f", conf] if kind == "haproxy" else \
            ["nginx", "-p", self.directory, "-c", conf, "-e", os.path.join(self.directory, "nginx.log")]
        with open(os.path.join(self.directory, "said"), "wb") as said:
            self.process = namespace.popen(*argv, stdout=said, stderr=said)
        if not eventually(lambda: f":{port} " in namespace.run("ss", "-Hltn").stdout):
            with open(os.path.join(self.directory, "said"), encoding="utf-8", errors="replace") as said:
                raise RuntimeError(f"{kind} does not listen: {said.read()}")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def telling(kind, namespace, directory, at, port):
    """A web server that takes PROXY headers, of both versions, and answers who they say the client is: a line of the client's
    address and port, and those that it asked for."""
    bind = at.strip("[").replace("]:", ":") if kind == "haproxy" else at
    return Program(namespace, directory, kind, HAPROXY_TELLS if kind == "haproxy" else NGINX_TELLS, port, bind=bind)


def sending(kind, namespace, directory, at, port, to, version="v1"):
    """Forwards from `at` to `to`, where it says by the PROXY protocol who the client is. nginx knows version 1 alone."""
    if kind == "nginx":
        return Program(namespace, directory, kind, NGINX_SENDS, port, bind=at, to=to)
    option = {"v1": "send-proxy", "v2": "send-proxy-v2"}[version]
    return Program(namespace, directory, kind, HAPROXY_SENDS, port, bind=at.strip("[").replace("]:", ":"),
                   to=to.strip("[").replace("]:", ":"), option=option)
