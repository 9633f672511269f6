# SPDX-License-Identifier: MIT
"""nginx on free ports of this machine, with a configuration of its own, until the `with` block ends.

    with Nginx(folder, {"certificate": ..., "key": ...}) as server: server.url("file"), server.secure_url("file"), server.requests()
"""
import os
import pathlib
import shutil
import socket
import subprocess
import time

CONFIGURATION = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format counts '$scheme $status $body_bytes_sent "$http_range" "$http_accept_encoding" $request_uri';
  access_log {folder}/access.log counts;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/octet-stream;
  gzip on; gzip_types *; gzip_min_length 1;
  sendfile on; keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    {secure}
    root {root};
    location /no_ranges/ {{ alias {root}/; max_ranges 0; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /plain/ {{ return 302 http://127.0.0.1:{port}/; }}
    location /closed/ {{ return 403; }}
    location /later/ {{ return 503; }}
  }}
}}
"""


def find():
    """The path of nginx, which Debian has where only root looks; None where there is none."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port():
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return each.getsockname()[1]


class Nginx:
    def __init__(self, root, folder, certificate=None, key=None):
        self.root, self.folder = pathlib.Path(root).resolve(), pathlib.Path(folder).resolve()
        self.port, self.secure_port = free_port(), free_port()
        secure = f"listen 127.0.0.1:{self.secure_port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};" if key else ""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "nginx.conf").write_text(CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "", folder=self.folder, root=self.root, port=self.port, secure=secure))

    def __enter__(self):
        command = [find(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.__exit__()
        raise SystemExit("FAILED: nginx does not start: " + (self.folder / "error.log").read_text())

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def secure_url(self, name, host="localhost"):
        return f"https://{host}:{self.secure_port}/{name}"

    def requests(self):
        """The status and the size of the body of each answer so far."""
        time.sleep(0.05)  # it is written when the answer is sent
        log = self.folder / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(int(line.split()[1]), int(line.split()[2])) for line in lines]

    def forget(self):
        """Begins to count anew."""
        os.truncate(self.folder / "access.log", 0)
