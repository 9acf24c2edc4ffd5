# Real servers: nginx, Redis, HAProxy, Apache httpd, and wrk as their client.
import tempfile


def directory():
    where = tempfile.mkdtemp(prefix="eleven-faults-")
    # It is removed when the bench kills this process: by a watcher outside its group.
    watcher = f"while kill -0 {os.getpid()} 2>/dev/null; do sleep 0.2; done; rm -rf {where}"
    subprocess.Popen(["sh", "-c", watcher], start_new_session=True)
    return where


def up(port):
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


def nginx(listen="127.0.0.1:8080", location='return 200 "hello\\n";', more=""):
    need("nginx")
    where = directory()
    paths = "".join(
        f"{name}_temp_path {where}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    with open(f"{where}/conf", "w") as file:
        file.write(
            f"daemon off; worker_processes 1; pid {where}/pid; error_log {where}/error; {more}"
            f"events {{ worker_connections 4000; }} http {{ access_log off; {paths}"
            f"keepalive_timeout 300s; server {{ listen {listen}; location / {{ {location} }} }} }}"
        )
    master = subprocess.Popen(["nginx", "-c", f"{where}/conf"], stderr=subprocess.DEVNULL)
    up(int(listen.split()[0].rsplit(":", 1)[1]))
    # The port is open before the worker is there.
    while True:
        with open(f"/proc/{master.pid}/task/{master.pid}/children") as children:
            workers = children.read().split()
        if workers:
            return master.pid, int(workers[0])
        time.sleep(0.05)


def wrk(*arguments, port=8080, path=""):
    need("wrk")
    command = ["wrk", "-d60s", *arguments, f"http://{HERE}:{port}/{path}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def redis():
    need("redis-server")
    command = ["redis-server", "--port", "6399", "--save", "", "--client-output-buffer-limit", "pubsub 0 0 0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    up(6399)
    return server.pid


def command(*words):
    """A command as Redis reads it."""
    parts = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def nginx_is_stopped():
    master, worker = nginx(listen="127.0.0.1:8080 backlog=16")
    os.kill(worker, signal.SIGSTOP)
    held = []
    ready_soon(2, worker)
    while True:
        held.append(begun((HERE, 8080)))
        time.sleep(0.05)


def nginx_has_too_few_descriptors():
    master, worker = nginx(more="worker_rlimit_nofile 30;")
    held = [begun((HERE, 8080)) for _ in range(60)]
    time.sleep(1)
    ready(worker)
    forever()


def nginx_runs_out_of_ports():
    run("sysctl -w net.ipv4.ip_local_port_range='40000 40499' net.ipv4.tcp_tw_reuse=0")
    backend = listener(9000)

    def serve():
        while True:
            connection = backend.accept()[0]
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.recv(1)
            connection.close()

    child(serve)
    backend.close()
    nginx(location="proxy_pass http://127.0.0.1:9000;")
    wrk("-t1", "-c4")
    time.sleep(3)
    ready(remote=f"{HERE}:9000")
    forever()


def nginx_under_load():
    nginx()
    wrk("-t2", "-c100")
    time.sleep(2)
    ready()
    forever()


def nginx_with_short_connections():
    nginx()
    wrk("-t1", "-c20", "-H", "Connection: close")
    time.sleep(3)
    ready()
    forever()


def nginx_with_idle_clients():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    nginx()
    held = [socket.create_connection((HERE, 8080)) for _ in range(2000)]
    for connection in held:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.recv(4096)
    ready()
    forever()


def redis_client_that_sleeps():
    redis()
    subscriber = socket.create_connection((HERE, 6399))
    subscriber.sendall(command("SUBSCRIBE", "news"))
    subscriber.recv(100)

    def publish():
        connection = socket.create_connection((HERE, 6399))
        for _ in range(300):
            connection.sendall(command("PUBLISH", "news", b"x" * 100_000))
            connection.recv(100)
        forever()

    child(publish)
    time.sleep(2)
    ready()
    forever()


def redis_is_stopped():
    server = redis()
    mine = [socket.create_connection((HERE, 6399)) for _ in range(10)]
    for connection in mine:
        connection.sendall(command("PING"))
        connection.recv(100)
    os.kill(server, signal.SIGSTOP)
    for connection in mine:
        filled(connection)
    time.sleep(1)
    ready(server)
    forever()


def redis_under_load():
    redis()
    need("redis-benchmark")
    load = ["redis-benchmark", "-p", "6399", "-c", "50", "-n", "100000000", "-t", "get", "-q"]
    subprocess.Popen(load, stdout=subprocess.DEVNULL)
    time.sleep(1)
    ready()
    forever()


def haproxy_under_load():
    need("haproxy")
    nginx()
    where = directory()
    with open(f"{where}/conf", "w") as file:
        file.write(
            "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
            "frontend f\n bind 127.0.0.1:8090\n default_backend b\nbackend b\n server s 127.0.0.1:8080\n"
        )
    subprocess.Popen(["haproxy", "-db", "-f", f"{where}/conf"], stderr=subprocess.DEVNULL)
    up(8090)
    wrk("-t1", "-c50", port=8090)
    time.sleep(2)
    ready()
    forever()


def apache_under_load():
    need("apache2")
    modules, where = "/usr/lib/apache2/modules", directory()
    with open(f"{where}/conf", "w") as file:
        file.write(
            f"ServerRoot {where}\nPidFile {where}/pid\nListen 127.0.0.1:8081\nServerName bench\n"
            f"LoadModule mpm_event_module {modules}/mod_mpm_event.so\n"
            f"LoadModule authz_core_module {modules}/mod_authz_core.so\n"
            f"ErrorLog {where}/error\nDocumentRoot {where}\nUser www-data\nGroup www-data\n"
        )
    with open(f"{where}/page", "w") as file:
        file.write("x" * 100)
    os.chmod(where, 0o755)
    subprocess.Popen(["apache2", "-f", f"{where}/conf", "-DFOREGROUND"], stderr=subprocess.DEVNULL)
    up(8081)
    wrk("-t1", "-c50", port=8081, path="page")
    time.sleep(2)
    ready()
    forever()


def build_machine():
    need("cc")
    code = b"#include <stdio.h>\nint main(void) { return printf(\"%d\", 1); }\n"

    def compile():
        while True:
            subprocess.run(["cc", "-x", "c", "-O2", "-S", "-o", "/dev/null", "-"], input=code)

    for _ in range(2):
        child(compile)
    time.sleep(0.5)
    ready()
    forever()
