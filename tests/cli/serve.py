"""serve.py - `trine serve` as its clients see it: raw bytes over sockets, and what its log says."""
import concurrent.futures
import hashlib
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback

TRINE = os.environ["TRINE"]
SLOW = int(os.environ.get("TRINE_TEST_SLOW", "1"))
PATIENCE = 20 * SLOW
SECRET = b"the secret outside of the served directory"


class Server:
    """A running `trine serve`; leaving the block ends it by SIGTERM and checks how it ended."""

    def __init__(self, root, *options, end=signal.SIGTERM, limit=None):
        self.root, self.options, self.end, self.limit = root, options, end, limit

    def __enter__(self):
        self.log_path = tempfile.mktemp(prefix="serve-log-", dir=BASE)
        self.process = subprocess.Popen(
            [TRINE, "serve", "--port", "0", "--log", self.log_path, *self.options, self.root],
            preexec_fn=self.limit and (lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (self.limit, self.limit))),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", line), (line, self.process.stderr.read())
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(self.end)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError("it does not end after signal %d" % self.end)
        if kind is None:
            assert self.process.returncode == 0, (self.process.returncode, err)
            assert (out, err) == (b"", b""), (out, err)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return s

    def log(self):
        with open(self.log_path, "rb") as f:
            lines = f.read().split(b"\n")
        assert lines.pop() == b"", "the log's last line has no end"
        return [parse_log(line) for line in lines]

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


def parse_log(line):
    m = re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\d{3}) (\d+) (\d+) (\S+)", line)
    assert m, line
    return int(m[1]), int(m[2]), int(m[3]), m[4].decode("latin-1")


class Answer:
    """The next answer on a connection's stream."""

    def __init__(self, stream, head=False):
        line = stream.readline()
        m = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]+\r\n", line)
        assert m, line
        self.status, self.headers = int(m[1]), {}
        while (line := stream.readline()) != b"\r\n":
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon and name.lower() not in self.headers, line
            self.headers[name.lower()] = value.strip()
        self.length = int(self.headers["content-length"])
        self.body = b"" if head else stream.read(self.length)
        assert head or len(self.body) == self.length, "the body is cut short"


def get(target, extra="", method="GET", version="1.1"):
    return ("%s %s HTTP/%s\r\nHost: here\r\n%s\r\n" % (method, target, version, extra)).encode(
        "latin-1")


def ask(server, request, head=False):
    """One request on a connection of its own; `closed`: the server ended the connection."""
    with server.connect() as s:
        s.sendall(request)
        stream = s.makefile("rb")
        answer = Answer(stream, head)
        if "close" in answer.headers.get("connection", ""):
            assert stream.read() == b"", "bytes after the last answer"
        return answer


def status(server, request):
    return ask(server, request).status


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content)


def make_site():
    root = os.path.join(BASE, "site")
    write(root + "/index.html", b"<title>top</title>")
    write(root + "/sub/index.html", b"<title>sub</title>")
    write(root + "/empty.txt", b"")
    write(root + "/bare/file.txt", b"no index here")
    write(root + "/a b\u00fc+%.txt", b"odd name")
    for i in range(10):
        write(root + "/n/%d.html" % i, b"page %d " % i * (1 + i * 3000))
    for extension in TYPES:
        write(root + "/types/x." + extension, b"x")
    write(BASE + "/secret.txt", SECRET)
    write(BASE + "/site-not/secret.txt", SECRET)
    os.symlink("../secret.txt", root + "/leaves")
    os.symlink("..", root + "/up")
    os.symlink("/etc", root + "/etc")
    os.symlink("sub/index.html", root + "/stays")
    os.symlink("loop", root + "/loop")
    os.mkfifo(root + "/fifo")
    with open(root + "/big.bin", "wb") as f:
        for i in range(32):
            f.write(hashlib.sha256(b"%d" % i).digest() * 32768)
    return root


TYPES = {"html": "text/html", "HTM": "text/html", "css": "text/css", "js": "text/javascript",
         "json": "application/json", "png": "image/png", "svg": "image/svg+xml",
         "txt": "text/plain", "xml": "application/xml", "pdf": "application/pdf",
         "jpeg": "image/jpeg", "woff2": "font/woff2", "nosuch": "application/octet-stream"}


# --- the cases --------------------------------------------------------------------------------


def index_and_redirect():
    with Server(SITE) as s:
        assert ask(s, get("/")).body == b"<title>top</title>"
        assert ask(s, get("/index.html")).body == b"<title>top</title>"
        assert ask(s, get("/sub/")).body == b"<title>sub</title>"
        assert ask(s, get("/sub/?x=1#f")).body == b"<title>sub</title>"
        moved = ask(s, get("/sub?a=b%20c"))
        assert (moved.status, moved.headers["location"]) == (301, "/sub/?a=b%20c"), moved.headers
        moved = ask(s, get("//sub"))
        assert (moved.status, moved.headers["location"]) == (301, "/sub/"), moved.headers
        assert status(s, get("/bare/")) == 404
        assert status(s, get("/index.html/")) == 404
        assert status(s, get("/nope")) == 404
        assert ask(s, get("/empty.txt")).body == b""
        assert ask(s, get("http://here/sub/")).body == b"<title>sub</title>"
        assert [line[:2] for line in s.log()[:2]] == [(200, 18), (200, 18)], s.log()


def content_types():
    with Server(SITE) as s:
        for extension, expected in TYPES.items():
            found = ask(s, get("/types/x." + extension)).headers["content-type"]
            assert found == expected, (extension, found)


def decoding():
    with Server(SITE) as s:
        assert ask(s, get("/a%20b%C3%BC%2b%25.txt")).body == b"odd name"
        assert ask(s, get("/%73%75%62%2F")).body == b"<title>sub</title>"
        for bad in ("/%", "/%4", "/%zz", "/a%00b", "/%00"):
            assert status(s, get(bad)) == 400, bad


def head_requests():
    with Server(SITE) as s, s.connect() as c:
        stream = c.makefile("rb")
        for target, code, length in (("/", 200, 18), ("/nope", 404, 14), ("/sub", 301, None)):
            c.sendall(get(target, method="HEAD"))
            answer = Answer(stream, head=True)
            assert answer.status == code
            assert length is None or answer.length == length, answer.length
        c.sendall(get("/"))
        assert Answer(stream).body == b"<title>top</title>" # no body came before it


def keep_alive():
    with Server(SITE) as s:
        with s.connect() as c:
            stream = c.makefile("rb")
            for i in range(100):
                c.sendall(get("/n/%d.html" % (i % 10)))
                answer = Answer(stream)
                assert answer.body.startswith(b"page %d" % (i % 10))
                assert "connection" not in answer.headers
            c.sendall(get("/", "Connection: foo , Close\r\n"))
            assert Answer(stream).headers["connection"] == "close"
            assert stream.read() == b""
        assert ask(s, get("/", version="1.0")).headers["connection"] == "close"
        with s.connect() as c:
            stream = c.makefile("rb")
            for _ in range(2):
                c.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert Answer(stream).headers["connection"] == "keep-alive"


def pipelining():
    with Server(SITE) as s:
        order = [3, 9, 0, 0, 7, 1] * 50
        with s.connect() as c:
            stream = c.makefile("rb")
            requests = b"".join(get("/n/%d.html" % i) for i in order)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                sent = pool.submit(c.sendall, requests)
                for i in order:
                    assert Answer(stream).body.startswith(b"page %d " % i)
                sent.result()
        assert [line[3] for line in s.log()] == ["/n/%d.html" % i for i in order]


def heads_in_pieces():
    with Server(SITE) as s, s.connect() as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = c.makefile("rb")
        for byte in b"\r\nGET /sub/ HTTP/1.1\nhOST:here\nX-Long:  a\tb \n\r\n" + get("/"):
            c.sendall(bytes([byte]))
        assert Answer(stream).body == b"<title>sub</title>"
        assert Answer(stream).body == b"<title>top</title>"


def outside():
    with Server(SITE) as s:
        forbidden = ["/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt",
                     "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/../site-not/secret.txt",
                     "/leaves", "/up/secret.txt", "/etc/passwd", "//etc/passwd", "/loop", "/fifo",
                     "/../../../../../../../../etc/passwd"]
        absent = [BASE + "/secret.txt", "/%2f" + BASE + "/secret.txt",
                  "/..\\secret.txt", "/.../secret.txt", "/..;/secret.txt"]
        for expected, targets in ((403, forbidden), (404, absent)):
            for target in targets:
                answer = ask(s, get(target))
                assert answer.status == expected, (target, answer.status)
                assert SECRET not in answer.body and b"root:" not in answer.body, target
        assert status(s, get("../secret.txt")) == 400
        assert ask(s, get("/stays")).body == b"<title>sub</title>"
        assert ask(s, get("/sub/../sub/./index.html")).body == b"<title>sub</title>"


def refused_requests():
    with Server(SITE) as s:
        for request, expected in (
                (b"nonsense\r\n\r\n", 400),
                (b"\0\x01\xff\r\n\r\n", 400),
                (b"GET /\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\n\r\n", 400), # no Host
                (get("/", "Host: again\r\n"), 400),
                (get("/", "Bad Name: x\r\n"), 400),
                (get("/", "Space : x\r\n"), 400),
                (get("/", "A: b\r\n folded\r\n"), 400),
                (get("/", "A: b\0c\r\n"), 400),
                (get("/", "Content-Length: -1\r\n"), 400),
                (get("/", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400),
                (get("/a b"), 400),
                (get("/", version="2.0"), 505),
                (get("/", version="1.x"), 400),
                (get("/" + "x" * 5000), 414),
                (get("/" + "x" * 20000), 431),
                (get("/", "X: %s\r\n" % ("y" * 20000)), 431),
                (get("/", "X: y\r\n" * 4000), 431)):
            answer = ask(s, request)
            assert answer.status == expected, (request[:60], answer.status)
            assert expected == 414 or answer.headers["connection"] == "close", request[:60]
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
            answer = ask(s, get("/", method=method))
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD"), method
        largest = get("/", "X: %s\r\n" % ("y" * (16384 - len(get("/", "X: \r\n")))))
        assert len(largest) == 16384 and status(s, largest) == 200


def bodies_are_no_requests():
    inner = get("/n/1.html")
    with Server(SITE) as s:
        for extra in ("Content-Length: %d\r\n" % len(inner), "Transfer-Encoding: chunked\r\n"):
            for method, code in (("POST", 405), ("GET", 200)):
                answer = ask(s, get("/", extra, method) + inner) # checks that nothing follows
                assert (answer.status, answer.headers["connection"]) == (code, "close")
        with s.connect() as c:
            c.sendall(get("/", "Content-Length: 0\r\n") + inner)
            stream = c.makefile("rb")
            assert Answer(stream).body == b"<title>top</title>"
            assert Answer(stream).body.startswith(b"page 1 ")


def the_log_comes_first():
    with Server(SITE) as s, s.connect() as c:
        stream = c.makefile("rb")
        for i in range(200):
            c.sendall(get("/n/0.html?%d" % i))
            Answer(stream)
            assert s.log()[-1] == (200, 7, 1, "/n/0.html?%d" % i)
        s.process.kill() # and it is there when the server dies, too
        s.process.wait()
        assert len(s.log()) == 200
        s.process.returncode = 0


def delay_and_concurrency():
    with Server(SITE, "--delay", "0.3") as s:
        connections = [s.connect() for _ in range(40)]
        for c in connections:
            c.sendall(get("/"))
        for c in connections:
            assert Answer(c.makefile("rb")).status == 200
            c.close()
        in_progress = [line[2] for line in s.log()]
        assert len(in_progress) == 40 and max(in_progress) == 40, in_progress
        assert ask(s, get("/")).status == 200
        assert s.log()[-1][2] == 1


def big_file_to_a_slow_reader():
    with open(SITE + "/big.bin", "rb") as f:
        expected = hashlib.sha256(f.read()).digest()
    with Server(SITE) as s, s.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.sendall(get("/big.bin") + get("/"))
        assert ask(s, get("/sub/")).status == 200 # others are served meanwhile
        stream = slow.makefile("rb", buffering=3001)
        answer = Answer(stream)
        assert hashlib.sha256(answer.body).digest() == expected
        assert Answer(stream).body == b"<title>top</title>"


def shrinking_file():
    path = SITE + "/shrinks.bin"
    write(path, b"z" * (32 << 20))
    with Server(SITE) as s, s.connect() as c:
        c.sendall(get("/shrinks.bin"))
        stream = c.makefile("rb")
        assert stream.read(1) == b"H"
        os.truncate(path, 1000)
        assert len(stream.read()) < 32 << 20 # the connection ends; no byte is made up
        assert ask(s, get("/")).status == 200


def aborted_clients():
    with Server(SITE) as s:
        assert ask(s, get("/")).status == 200
        before = s.descriptors()
        for i in range(50):
            c = s.connect()
            c.sendall(get("/big.bin") if i % 2 else get("/")[:20])
            if i % 4 == 1:
                c.recv(1000)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        for _ in range(1000 * SLOW):
            if s.descriptors() <= before:
                break
            assert ask(s, get("/")).status == 200
        assert s.descriptors() <= before, "descriptors are left"


def limit_on_connections():
    with Server(SITE, "--connections", "2") as s:
        first, second, third = s.connect(), s.connect(), s.connect()
        for c in (first, second):
            c.sendall(get("/"))
            assert Answer(c.makefile("rb")).status == 200
        third.sendall(get("/sub/"))
        assert not select.select([third], [], [], 0.3)[0], "three are served at once"
        first.close()
        assert Answer(third.makefile("rb")).body == b"<title>sub</title>"
        second.close()
        third.close()


def crowd_is_served(port, size):
    """More clients than can be served at once: each gets its turn, as others leave."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
               for _ in range(size)]
    for c in clients:
        c.sendall(get("/", "Connection: close\r\n"))
    for c in clients:
        assert Answer(c.makefile("rb")).status == 200
        c.close()


def few_descriptors_from_the_start():
    with Server(SITE, limit=90) as s: # it counts on fewer connections, and never runs short
        crowd_is_served(s.port, 120)


def descriptors_run_out():
    with Server(SITE) as s:
        idle = s.connect()
        idle.sendall(get("/"))
        Answer(idle.makefile("rb"))
        lowest = s.descriptors() + 2 # one client and its file
        full = resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, (lowest, full[1]))
        held = [s.connect() for _ in range(3)]
        assert b"have to wait: Too many open files" in s.process.stderr.readline()
        for c in held:
            c.close()
        resource.prlimit(s.process.pid, resource.RLIMIT_NOFILE, full)
        crowd_is_served(s.port, 20)
        idle.close()


def ends_by_signals():
    for number in (signal.SIGINT, signal.SIGTERM):
        with Server(SITE, "--delay", "600", end=number) as s:
            idle, waiting, half = s.connect(), s.connect(), s.connect()
            waiting.sendall(get("/"))
            half.sendall(b"GET / HT")
        for c in (idle, waiting, half):
            c.settimeout(PATIENCE)
            try:
                assert c.recv(1) == b""
            except ConnectionResetError:
                pass
            c.close()


def bad_usage():
    taken = socket.create_server(("127.0.0.1", 0))
    port = str(taken.getsockname()[1])
    for arguments, code, word in (
            ([], 2, "DIR"), ([SITE, SITE], 2, "DIR"), (["--port", "65536", SITE], 2, "--port"),
            (["--port", "8x", SITE], 2, "8x"), (["--port", "", SITE], 2, "--port"),
            (["--delay", "-1", SITE], 2, "--delay"), (["--delay", "nan", SITE], 2, "nan"),
            (["--connections", "0", SITE], 2, "--connections"), (["--nope", SITE], 2, "--nope"),
            (["--port", "0", SITE + "/nope"], 1, "nope"),
            (["--port", "0", SITE + "/index.html"], 1, "index.html"),
            (["--port", "0", "--log", "/nope/log", SITE], 1, "/nope/log"),
            (["--port", port, SITE], 1, port),
            (["--host", "no-such-host.invalid", SITE], 1, "no-such-host.invalid")):
        r = subprocess.run([TRINE, "serve", *arguments], capture_output=True, timeout=PATIENCE)
        assert r.returncode == code, (arguments, r)
        assert word.encode() in r.stderr and r.stdout == b"", (arguments, r)
    taken.close()


def front_door():
    def run(*arguments):
        r = subprocess.run([TRINE, *arguments], capture_output=True, timeout=PATIENCE)
        return r.returncode, r.stdout.decode(), r.stderr.decode()
    code, out, err = run("--version")
    assert code == 0 and re.fullmatch(r"trine \d+\.\d+\.\d+\n", out) and not err, (out, err)
    for arguments in (["--help"], ["help"]):
        code, out, err = run(*arguments)
        assert code == 0 and "serve" in out and not err
    for arguments in (["help", "serve"], ["serve", "--help"]):
        code, out, err = run(*arguments)
        assert code == 0 and "--delay" in out and not err
    for arguments in ([], ["nope"], ["help", "nope"], ["--nope"]):
        code, out, err = run(*arguments)
        assert code == 2 and not out and "serve" in err, (arguments, code, out, err)
    with open("/dev/full", "w") as full:
        assert subprocess.run([TRINE, "--version"], stdout=full, stderr=subprocess.PIPE,
                              timeout=PATIENCE).returncode == 1


CASES = [index_and_redirect, content_types, decoding, head_requests, keep_alive, pipelining,
         heads_in_pieces, outside, refused_requests, bodies_are_no_requests, the_log_comes_first,
         delay_and_concurrency, big_file_to_a_slow_reader, shrinking_file, aborted_clients,
         limit_on_connections, few_descriptors_from_the_start, descriptors_run_out,
         ends_by_signals, bad_usage, front_door]


def main():
    failed = 0
    for case in CASES:
        if sys.argv[1:] and case.__name__ not in sys.argv[1:]:
            continue
        try:
            case()
            print("ok", case.__name__, flush=True)
        except Exception as why: # also what the libraries raise: each fails its case alone
            failed += 1
            where = traceback.extract_tb(why.__traceback__)[-1].lineno
            print("FAIL %s: line %d: %s %s" % (case.__name__, where, type(why).__name__, why),
                  flush=True)
            for frame in traceback.extract_tb(why.__traceback__):
                print("  %s:%d" % (frame.name, frame.lineno))
    return 1 if failed else 0


with tempfile.TemporaryDirectory(prefix="trine-serve-") as BASE:
    SITE = make_site()
    sys.exit(main())
