"""The server as a process: many clients, bad ones among them, and its end."""

import concurrent.futures
import http.client
import io
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from tfdecomp.data.video import video_io
from tfdecomp.sharing import hub

EXACT = "connected_components"  # the same in any batch, to the bit
NETWORK = "silot_quick"  # the same, and learned
CLIENTS, REQUESTS = 8, 1000
NPY = {"Content-Type": "application/x-npy", "Accept": "application/x-npz"}
MALFORMED = [
    (b"nonsense", NPY),
    (b"", {}),
    (b'{"video": [[1, 2], [3]]}', {"Content-Type": "application/json"}),
    (b'{"video": ', {"Content-Type": "application/json"}),
    (b"PK\x03\x04", {"Content-Type": "application/x-npz"}),
    (b"\x00\x01" * 500, {"Content-Type": "video/mp4"}),
    (b"\x89PNG\r\n\x1a\n", {"Content-Type": "image/png"}),
    (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


class Client:
    """A connection that is kept open."""

    def __init__(self, port):
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def ask(self, method, path, body=None, headers=None):
        """`(status, body, seconds)`."""
        start = time.monotonic()
        self._line.request(method, path, body, headers or {})
        answer = self._line.getresponse()
        return answer.status, answer.read(), time.monotonic() - start

    def health(self):
        return json.loads(self.ask("GET", "/healthz")[1])


def until(true, seconds=300):
    """Waits for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def scenes(count):
    """Clips `[2, 48, 48, 3]` of bright boxes."""
    rng = np.random.default_rng(1)
    clips = np.zeros([count, 2, 48, 48, 3], np.uint8)
    for clip in clips:
        for y, x in rng.integers(0, 36, (4, 2)):
            colour = rng.integers(100, 256, 3)
            for t in range(2):
                clip[t, y : y + 10, x + t : x + t + 10] = colour
    return clips


def differences(body, expected):
    """Names of the arrays that differ by a bit."""
    with np.load(io.BytesIO(body), allow_pickle=False) as stored:
        found = dict(stored)
    arrays = {n: np.asarray(v) for n, v in expected.items() if n != "state"}
    assert set(arrays) <= set(found)
    return [
        name
        for name, value in arrays.items()
        if found[name].tobytes() != value.tobytes()
    ]


@pytest.mark.slow
def test_a_thousand_requests_get_the_models_answers(serve, capsys):
    process, port = serve(
        f"--model={EXACT}", f"--model={NETWORK}", "--max_wait_ms=2"
    )
    clips = scenes(12)
    asked = [(EXACT, n) for n in range(12)] + [(NETWORK, n) for n in range(3)]
    loaded = {name: hub.load(name) for name in (EXACT, NETWORK)}
    expected = {
        (name, n): loaded[name].decompose(clips[n], seed=n) for name, n in asked
    }
    memory = psutil.Process(process.pid).memory_info

    def work(number, start, stop):
        client, result = Client(port), []
        for i in range(start, stop):
            if i % 10 == 9:
                body, headers = MALFORMED[(i // 10) % len(MALFORMED)]
                status, said, _ = client.ask(
                    "POST", "/v1/decompose", body, headers
                )
                is_said = list(json.loads(said)) == ["error"]
                result.append(("bad", 400 <= status < 500 and is_said, 0.0))
                continue
            # A network's answers are a tenth of all.
            pick = 12 + i % 3 if i % 10 == 5 else (number + i) % 12
            name, n = asked[pick]
            path = f"/v1/decompose?model={name}&seed={n}"
            status, said, seconds = client.ask("POST", path, npy(clips[n]), NPY)
            same = status == 200 and not differences(said, expected[name, n])
            result.append((name, same, seconds))
        return result

    def together(start, stop):
        share = (stop - start) // CLIENTS
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            parts = [
                pool.submit(work, k, start + k * share, start + (k + 1) * share)
                for k in range(CLIENTS)
            ]
            return [row for part in parts for row in part.result()]

    results = together(0, 400)
    warm = memory().rss
    results += together(400, REQUESTS)
    grown = memory().rss / warm
    alone = [row for row in work(0, 0, 60) if row[0] == EXACT]
    many = [row for row in results[400:] if row[0] == EXACT]
    p50_alone, p50 = (
        statistics.median(seconds for *_, seconds in rows)
        for rows in (alone, many)
    )
    health = Client(port).health()
    with capsys.disabled():
        print(
            f"\n{len(results)} requests: p50 {1000 * p50:.1f} ms at {CLIENTS} "
            f"clients, {1000 * p50_alone:.1f} ms at one; memory x{grown:.4f} "
            f"of {warm / 2**20:.0f} MiB; batches up to "
            f"{health['largest_batch']}"
        )
    assert len(results) == REQUESTS
    assert sum(name == "bad" for name, *_ in results) == 100
    assert all(good for _, good, _ in results)
    assert health["largest_batch"] > 1
    assert health["requests"] == health["waiting"] == 0
    assert grown < 1.02
    assert p50 <= 8 * p50_alone
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


@pytest.mark.slow
def test_who_hangs_up_frees_his_place_and_a_signal_lets_the_rest_finish(
    serve, tmp_path
):
    process, port = serve(
        f"--model={NETWORK}", "--max_batch=1", "--max_queue=3", "--drain=300"
    )
    assert list(tmp_path.glob("tfdecomp_serve_*"))
    client = Client(port)
    long = npy(np.repeat(scenes(1)[0], 50, axis=0))  # 100 frames
    head = (
        "POST /v1/decompose?format=npz HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/x-npy\r\n"
        f"Content-Length: {len(long)}\r\n\r\n"
    ).encode()

    def ask():
        return Client(port).ask("POST", "/v1/decompose", long, NPY)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        kept = pool.submit(ask)
        until(lambda: client.health()["requests"] == 1)
        until(lambda: client.health()["waiting"] == 0)
        lost = [socket.create_connection(("127.0.0.1", port)) for _ in "ab"]
        for line in lost:
            line.sendall(head + long)
        until(lambda: client.health()["requests"] == 3)
        status, said, _ = client.ask("POST", "/v1/decompose", b"", NPY)
        assert status == 429 and b"under way" in said
        client = Client(port)  # the other one is closed with the answer
        for line in lost:
            line.close()
        until(lambda: client.health()["requests"] <= 1)
        # Half an upload holds a place, too, and no longer than its line.
        half = socket.create_connection(("127.0.0.1", port))
        half.sendall(head + long[:1000])
        half.close()
        until(lambda: client.health()["requests"] <= 1)
        again = pool.submit(ask)
        until(lambda: client.health()["requests"] >= 1)
        process.send_signal(signal.SIGTERM)
        assert kept.result()[0] == 200 and again.result()[0] == 200
    assert process.wait(120) == 0
    assert process.stdout.read().endswith("stopped\n")
    with pytest.raises(OSError):
        Client(port).health()
    assert not list(tmp_path.glob("tfdecomp_serve_*"))


@pytest.mark.slow
def test_five_gigabytes_are_refused_by_their_size_alone(serve, run_folder):
    _, port = serve(f"--model={run_folder}", "--max_upload=1")
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(
        b"POST /v1/decompose HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\n"
        b"Content-Length: 5000000000\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = line.makefile("rb").read()  # nothing was sent, and it is closed
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"5,000,000,000 bytes" in answer and b"100 Continue" not in answer
    # Without a length it is counted while it comes.
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = []

    def pieces():
        for _ in range(5000):
            sent.append(1)
            yield b"\x00" * 2**20

    try:
        line.request(
            "POST",
            "/v1/decompose",
            pieces(),
            {"Content-Type": "video/mp4", "Transfer-Encoding": "chunked"},
            encode_chunked=True,
        )
        assert line.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was closed while we sent
    assert len(sent) < 50


@pytest.mark.slow
def test_a_job_that_runs_is_ended_by_the_drain_and_the_exit_is_clean(
    serve, run_folder, tmp_path
):
    process, port = serve(f"--model={run_folder}", "--drain=1")
    path = tmp_path / "long.mkv"
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2000, 16, 16, 3), np.uint8)
    video_io.write_video(path, video, fps=10)
    client = Client(port)
    headers = {"Content-Type": "video/x-matroska"}
    _, said, _ = client.ask("POST", "/v1/jobs", path.read_bytes(), headers)
    name = json.loads(said)["id"]

    def is_running():
        said = client.ask("GET", f"/v1/jobs/{name}")[1]
        return json.loads(said)["done"] > 0

    until(is_running)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    assert time.monotonic() - start < 60  # two thousand frames take longer


def command(*flags):
    return subprocess.run(
        [sys.executable, "-m", "tfdecomp.serve", *flags],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("--model=vae_digits_quick", f"--port={port}")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: port {port} of 127.0.0.1 is in use; stop what uses it, or "
        "choose another with --port (0 takes a free one)\n"
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model=provide_ball"], "there is no model 'provide_ball'"),
        (["--model=vae_digits_quick", "--max_batch=0"], "max_batch must be"),
        (
            ["--model=vae_digits_quick", "--host=256.1.1.1"],
            "cannot be listened",
        ),
    ],
)
def test_what_is_wrong_with_a_flag_is_one_sentence(flags, words):
    done = command(*flags)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.count("\n") == 1


def test_threads_end_with_the_server():
    # Those of a line are daemons: none keeps a process that should end.
    from tfdecomp.serving.batcher import Batcher

    line = Batcher(lambda key, items: [None] * len(items))
    assert all(t.daemon for t in threading.enumerate() if t.name == "batcher")
    line.close()
    assert line.join(10)
