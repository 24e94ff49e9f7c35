"""The front page in a browser: a video in, a picture and files out."""

import shutil

import pytest

from tfdecomp.sharing import hub

BROWSERS = "chromium", "chromium-browser", "google-chrome"
LOADED = "document.getElementById('model').options.length > 0"
SHOWN = "document.getElementById('overlay').readyState >= 2"

pytestmark = pytest.mark.slow


def until(page, true):
    """Waits for an expression; the page's own rules forbid it to do so."""
    for _ in range(9000):
        if page.evaluate(true):
            return
        page.wait_for_timeout(100)
    raise TimeoutError(true)


@pytest.fixture
def page():
    """A page of a browser, whose complaints fail the test."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="needs pip install playwright"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser, one of {', '.join(BROWSERS)}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"]
        )
        page, complaints = browser.new_page(), []
        page.set_default_timeout(900_000)
        page.on("console", lambda m: complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on(
            "request",
            lambda r: (
                r.url.startswith(("http://127.0.0.1", "data:", "blob:"))
                or complaints.append(r.url)
            ),
        )
        yield page
        browser.close()
    assert complaints == []


def test_a_video_is_dropped_and_its_files_are_those_of_predict(
    page, serve, run_folder, video_path, tmp_path
):
    _, port = serve(f"--model={run_folder}")
    page.goto(f"http://127.0.0.1:{port}/")
    until(page, LOADED)
    assert "small (PROVIDE)" in page.inner_text("#about")
    page.set_input_files("#file", video_path)
    page.wait_for_selector("#result:not([hidden])")
    until(page, SHOWN)
    size = page.evaluate("[overlay.videoWidth, overlay.videoHeight]")
    assert size == [32, 24]
    record = hub.load(run_folder).predict(video_path, tmp_path / "out")
    assert record["trust"]["sentence"] in page.inner_text("#trust")
    for name in ("tracks.csv", "tracks.json", "overlay.mp4", "latents.npz"):
        with page.expect_download() as caught:
            page.click(f"#files a[download='{name}']")
        found = tmp_path / name
        caught.value.save_as(found)
        expected = (tmp_path / "out" / name).read_bytes()
        assert found.read_bytes() == expected, name
    rows = (tmp_path / "tracks.csv").read_text().splitlines()[1:]
    ids = {row.split(",")[2] for row in rows}
    cells = page.locator("#tracks tr td:first-child").all_inner_texts()
    assert set(cells) == ids
    assert page.inner_text("#tracks_title") == f"Tracks: {len(ids)}"


def test_the_example_runs_with_one_click_and_a_bad_file_gets_a_sentence(
    page, serve, tmp_path
):
    _, port = serve("--model=background_subtraction")
    page.goto(f"http://127.0.0.1:{port}/")
    until(page, LOADED)
    page.fill("#objects", "4")
    page.click("#example")
    page.wait_for_selector("#result:not([hidden])")
    until(page, SHOWN)
    assert page.inner_text("#tracks_title") == "Tracks: 4"
    assert page.inner_text("#of") == "example.mp4"
    bad = tmp_path / "song.mp4"
    bad.write_bytes(b"\x00\x01" * 1000)
    page.set_input_files("#file", bad)
    page.wait_for_selector("#trust.failed")
    assert "song.mp4 cannot be read" in page.inner_text("#trust")
    assert page.is_hidden("#result")
