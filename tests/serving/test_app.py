"""What the server answers, by the real model behind it."""

import concurrent.futures
import io
import json
import re
import time
import zipfile

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tfdecomp.serving import app as app_lib
from tfdecomp.serving import core, page, served
from tfdecomp.serving.settings import Settings
from tfdecomp.sharing import hub

RNG = np.random.default_rng(0)
CLIPS = RNG.integers(0, 256, (6, 3, 16, 16, 3), np.uint8)
# A model that iterates carries the rounding of a batched product on; what is
# exact is tried by tests/serving/test_server.py.
ATOL = 1e-3
SETTINGS = Settings(
    max_upload=200_000,
    max_array=100_000,
    max_frames=40,
    max_job_frames=60,
    max_pixels=5000,
    max_wait_ms=100,
    max_jobs=3,
)


@pytest.fixture(scope="module")
def server(run_folder):
    server = core.Server(served.load([run_folder]), SETTINGS)
    yield server
    assert server.close()


@pytest.fixture(scope="module")
def client(server):
    with TestClient(app_lib.build(server)) as client:
        yield client


@pytest.fixture(scope="module")
def alone(run_folder):
    """The model by itself."""
    return hub.load(run_folder)


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=array.dtype == object)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def arrays_of(answer):
    assert answer.status_code == 200, answer.text
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as stored:
        return dict(stored)


def assert_same(found, expected):
    names = [n for n, v in expected.items() if isinstance(v, np.ndarray)]
    assert names and set(names) <= set(found)
    for name in names:
        np.testing.assert_allclose(
            found[name], expected[name], atol=ATOL, rtol=ATOL, err_msg=name
        )


@pytest.mark.parametrize("kind", ["json", "npy", "npz"])
def test_an_array_is_answered_as_the_model_answers_it(client, alone, kind):
    clip = CLIPS[0]
    send = {
        "json": {"json": {"video": clip.tolist()}},
        "npy": {
            "content": npy(clip),
            "headers": {"Content-Type": "application/x-npy"},
        },
        "npz": {
            "content": npz(video=clip, other=clip[:1]),
            "headers": {"Content-Type": "application/x-npz"},
        },
    }[kind]
    answer = client.post("/v1/decompose?seed=5&format=npz", **send)
    assert_same(arrays_of(answer), alone.decompose(clip, seed=5))


def test_json_has_the_numbers_that_the_arrays_have(client):
    body = {"json": {"video": (CLIPS[1] / 255).tolist(), "model": "small"}}
    answer = client.post("/v1/decompose?keys=slots,masks", **body)
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["model"] == "small"
    again = client.post(
        "/v1/decompose", headers={"Accept": "application/x-npz"}, **body
    )
    arrays = arrays_of(again)
    for name in ("slots", "masks"):
        np.testing.assert_array_equal(
            np.float32(found["outputs"][name]), arrays[name]
        )


def test_requests_that_come_together_get_their_own_answers(client, alone):
    def ask(n):
        answer = client.post(
            f"/v1/decompose?seed={n}&format=npz",
            content=npy(CLIPS[n]),
            headers={"Content-Type": "application/x-npy"},
        )
        return arrays_of(answer)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for n, found in enumerate(pool.map(ask, range(6))):
            assert_same(found, alone.decompose(CLIPS[n], seed=n))


def test_a_video_is_answered_in_its_own_pixels(client, alone, video_path):
    with open(video_path, "rb") as file:
        answer = client.post("/v1/decompose", files={"file": file}).json()
    expected = alone.decompose(video_path)
    assert len(answer["tracks"]) == 5
    for found, frame in zip(answer["tracks"], expected["tracks"]):
        assert [o["id"] for o in found] == [o.id for o in frame]
        assert [o["box"] for o in found] == [o.box.tolist() for o in frame]
    assert answer["trust"]["level"] == expected["trust"]["level"]


def test_a_bare_picture_is_a_video_of_one_frame(client):
    from tfdecomp.data.video import video_io

    picture = RNG.integers(0, 256, (20, 20, 3), np.uint8)
    answer = client.post(
        "/v1/decompose",
        content=video_io.encode_png(picture),
        headers={"Content-Type": "image/png"},
    )
    assert len(answer.json()["tracks"]) == 1


NPY = {"Content-Type": "application/x-npy"}
NPZ = {"Content-Type": "application/x-npz"}
JSON = {"Content-Type": "application/json"}
MP4 = {"Content-Type": "video/mp4"}
GOOD = npy(CLIPS[0])
HUGE = npy(CLIPS[0][:1, :1, :1]).replace(b"(1, 1, 1, 3)", b"(9, 9, 9, 9)")
BAD = {
    "no type": (415, "of the type 'none'", GOOD, {}),
    "text": (415, "'text/plain'", b"hello", {"Content-Type": "text/plain"}),
    "cut JSON": (400, "no JSON", b'{"video": [[', JSON),
    "deep JSON": (400, "no JSON", b"[" * 90_000, JSON),
    "no video": (400, "no video", b'{"clip": []}', JSON),
    "a number": (400, "no array", b'{"video": 3}', JSON),
    "ragged": (400, "no array", b'{"video": [[1, 2], [3]]}', JSON),
    "words": (400, "no array", b'{"video": ["a"]}', JSON),
    "nothing": (422, "shape", b'{"video": []}', JSON),
    "too bright": (422, "0 to 255", b'{"video": [[[[256]]]]}', JSON),
    "negative": (422, "0 to 255", b'{"video": [[[[-1]]]]}', JSON),
    "no npy": (422, "cannot be read as an array", b"nonsense", NPY),
    "cut npy": (422, "cannot be read as an array", GOOD[:-9], NPY),
    "lying npy": (422, "cannot be read as an array", HUGE, NPY),
    "pickle": (422, "cannot be read", npy(np.array([{}])), NPY),
    "whole numbers": (422, "int64", npy(np.zeros([2, 16, 16, 3], int)), NPY),
    "no npz": (400, "npz", b"PK\x03\x04nonsense", NPZ),
    "two arrays": (400, "several", npz(a=CLIPS[0], b=CLIPS[0]), NPZ),
    "bomb": (413, "100,000", npz(video=np.zeros(10**7, np.uint8)), NPZ),
    "large array": (413, "100,000", b"0" * 100_001, NPY),
    "large video": (413, "200,000", b"0" * 200_001, MP4),
    "many frames": (413, "41 frames", npy(np.zeros([41, 9, 9], "u1")), NPY),
    "large frames": (413, "90x80", npy(np.zeros([1, 80, 90], "u1")), NPY),
    "no mp4": (422, "cannot be read as a video", b"\x00\x01" * 99, MP4),
    "empty": (422, "is empty", b"", MP4),
    "playlist": (422, "text and no video", b"#EXTM3U\nsecret.mp4\n", MP4),
    "list": (422, "text", b"ffconcat version 1.0\nfile input.mp4\n", MP4),
    "no boundary": (400, "body", b"", {"Content-Type": "multipart/form-data"}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_gets_one_sentence(client, name):
    status, words, content, headers = BAD[name]
    answer = client.post("/v1/decompose", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    (key,) = answer.json()
    sentence = answer.json()[key]
    assert key == "error" and words in sentence
    assert "\n" not in sentence and len(sentence) <= 400
    assert "/tmp" not in sentence and "input.mp4" not in sentence


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/decompose?model=../../etc/passwd", 404, "there are: small"),
        ("/v1/decompose?model=provide_balls_quick", 404, "there is no model"),
        ("/v1/decompose?seed=-1", 422, "seed"),
        ("/v1/decompose?seed=x", 422, "seed"),
        ("/v1/decompose?fps=0", 422, "fps"),
        ("/v1/decompose?fps=nan", 422, "fps"),
        ("/v1/decompose?fit=sideways", 422, "fit"),
        ("/v1/decompose?format=xml", 422, "format"),
        ("/v1/decompose?keys=slots,teeth", 422, "no 'teeth'"),
        ("/v1/decompose?objects=3", 422, "does not follow objects"),
        ("/v1/decompose?sed=1", 400, "no option 'sed'"),
        ("/v1/jobs?keys=slots", 400, "no option 'keys'"),
        ("/v1/job", 404, "nothing at /v1/job"),
        ("/healthz", 405, "POST is not for /healthz"),
    ],
)
def test_what_is_not_there_gets_one_sentence(client, path, status, words):
    answer = client.post(path, content=GOOD, headers=NPY)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"] and words in answer.text


def test_a_page_of_another_site_is_refused(client):
    answer = client.post(
        "/v1/decompose",
        content=GOOD,
        headers={**NPY, "Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403


def test_a_form_without_a_file_or_with_two_is_refused(client):
    assert client.post("/v1/decompose", files={"a": (None, "b")}).json() == {
        "error": "the form has no file; add one, such as 'file'"
    }
    two = {"a": ("a.npy", GOOD), "b": ("b.npy", GOOD)}
    answer = client.post("/v1/decompose", files=two)
    assert answer.status_code == 400 and "body" in answer.json()["error"]


@pytest.mark.parametrize(
    "name",
    ["../../../evil.npy", "/etc/evil.npy", "..\\evil.npy", "a/b/evil.npy"],
)
def test_a_path_in_a_file_name_is_no_place(client, server, name):
    before = set(server._folder.rglob("*"))
    files = {"file": (name, GOOD)}
    answer = client.post("/v1/decompose", files=files)
    assert answer.status_code == 200, answer.text
    assert set(server._folder.rglob("*")) == before
    answer = client.post("/v1/decompose", files={"file": (name, b"no")})
    assert answer.json()["error"].startswith("evil.npy cannot be read")


def test_a_name_of_no_known_kind_is_refused(client):
    files = {"file": ("clip.exe", GOOD)}
    answer = client.post("/v1/decompose", files=files)
    assert answer.status_code == 415
    assert "clip.exe is of no kind" in answer.json()["error"]


def test_a_full_server_sends_away_before_it_reads(client, server):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        places = [server.place() for _ in range(SETTINGS.max_queue)]
        for place in places:
            place.__enter__()
        try:
            answer = pool.submit(
                client.post, "/v1/decompose", content=GOOD, headers=NPY
            ).result()
        finally:
            for place in places:
                place.__exit__(None, None, None)
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
    answer = client.post("/v1/decompose", content=GOOD, headers=NPY)
    assert answer.status_code == 200


def test_files_of_a_job_are_those_of_predict(
    client, run_folder, video_path, tmp_path
):
    with open(video_path, "rb") as file:
        begun = client.post("/v1/jobs?seed=3", files={"file": file})
    assert begun.status_code == 202
    job = begun.json()
    while job["state"] in ("waiting", "running"):
        time.sleep(0.05)
        job = client.get(f"/v1/jobs/{job['id']}").json()
    assert job["state"] == "done" and job["error"] is None
    assert (job["done"], job["total"], job["name"]) == (5, 5, "squares.mkv")
    assert job["trust"]["sentence"]
    record = hub.load(run_folder).predict(video_path, tmp_path, seed=3)
    assert job["trust"]["sentence"] == record["trust"]["sentence"]
    expected = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert set(job["files"]) == {*expected, "all.zip"}
    url = f"/v1/jobs/{job['id']}/files"
    for name, content in expected.items():
        assert client.get(f"{url}/{name}").content == content, name
    archive = client.get(f"{url}/all.zip").content
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert {name: files.read(name) for name in files.namelist()} == (
            expected
        )
    for name in ("../input.mkv", "%2e%2e/input.mkv", "nothing.csv"):
        assert client.get(f"{url}/{name}").status_code == 404
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert client.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_a_job_that_cannot_be_done_says_why_and_a_bad_upload_leaves_none(
    client, server
):
    files = {"file": ("clip.mp4", b"\x00\x01" * 99)}
    job = client.post("/v1/jobs", files=files).json()
    while job["state"] in ("waiting", "running"):
        time.sleep(0.05)
        job = client.get(f"/v1/jobs/{job['id']}").json()
    assert job["state"] == "failed"
    assert job["error"].startswith("clip.mp4 cannot be read as a video")
    client.delete(f"/v1/jobs/{job['id']}")
    answer = client.post("/v1/jobs", files={"file": ("a.exe", b"no")})
    assert answer.status_code == 415 and len(server.jobs) == 0


def test_models_are_those_it_was_started_with(client):
    (model,) = client.get("/v1/models").json()["models"]
    assert model["name"] == "small" and model["system"] == "PROVIDE"
    assert model["clips"] == [None, 16, 16, 3] and not model["follows"]


def test_an_example_is_a_clip_of_the_kind_that_the_model_knows(client):
    answer = client.get("/v1/example")
    assert answer.headers["content-type"] == "video/mp4"
    files = {"file": ("example.mp4", answer.content)}
    answer = client.post("/v1/decompose", files=files)
    # Its frames are more than this server takes, and it is a video.
    assert answer.status_code == 413, answer.text


def test_health_says_what_is_under_way(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok" and answer.json()["requests"] == 0


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(client, path):
    text = client.get(path).text
    assert not re.findall(r"(?:src|href)=['\"]?(?:https?:)?//", text)
    assert "@import" not in text and "url(" not in text


def test_the_front_page_may_run_its_own_script_alone(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert policy == page.front()[1]


def test_the_reference_names_everything_that_may_be_asked(client):
    schema = client.get("/openapi.json").json()
    text = client.get("/docs").text
    assert len(schema["paths"]) == 7
    for path in schema["paths"]:
        assert f"<code>{path}</code>" in text
    json.dumps(schema)


def test_a_server_that_is_about_to_stop_refuses_and_says_so(run_folder):
    server = core.Server(served.load([run_folder]), SETTINGS)
    with TestClient(app_lib.build(server)) as client:
        server.drain()
        for path in ("/v1/decompose", "/v1/jobs"):
            answer = client.post(path, content=GOOD, headers=NPY)
            assert answer.status_code == 503
            assert "about to stop" in answer.json()["error"]
        assert client.get("/healthz").status_code == 503
    folder = server._folder
    assert server.close() and not folder.exists()


def test_two_models_of_one_name_are_refused(run_folder, tmp_path):
    (tmp_path / "small").symlink_to(run_folder)
    with pytest.raises(ValueError, match="two models would be called 'small'"):
        served.load([run_folder, tmp_path / "small"])
