"""The server as an application: what may be asked, and how it is answered."""

import functools
import types
from typing import Annotated, Literal

from tfdecomp.serving import answers, core, page, ports, uploads
from tfdecomp.serving.refusals import Refused
from tfdecomp.version import __version__

_FITTED = ("fps", "source_fps", "fit", "objects")
_JOB = ("seed", *_FITTED)
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
# A report runs its own script, and gets at nothing of this server.
_REPORT = {"Content-Security-Policy": "sandbox allow-scripts"}
_HTTP = {
    404: "there is nothing at {path}; see /docs for what there is",
    405: "{method} is not for {path}; see /docs for what is",
}
_UNREAD = 408, 413, 429, 503  # what is left of an upload is not read


def build(server):
    """The application.

    Args:
        server: A `core.Server`.

    Returns:
        A `fastapi.FastAPI`.

    Raises:
        ValueError: If the extra `serve` is not installed.
    """
    ports.check_installed()
    import fastapi

    app = fastapi.FastAPI(
        title="tfdecomp",
        version=__version__,
        description="Takes videos apart into the objects in them.",
        docs_url=None,  # its page loads a script from elsewhere
        redoc_url=None,
    )
    _add_refusals(app)
    _add_pages(app, server)
    _add_decompose(app, server)
    _add_jobs(app, server)
    return app


def _sentence(status, sentence, headers=None):
    from fastapi import responses

    headers = {**_NO_SNIFFING, **(headers or {})}
    if status in _UNREAD:
        headers["Connection"] = "close"
    return responses.JSONResponse(
        {"error": sentence}, status_code=status, headers=headers
    )


def _add_refusals(app):
    """Every answer that is none is one sentence."""
    from fastapi import exceptions

    @app.exception_handler(Refused)
    async def refused(request, error):
        return _sentence(error.status, error.sentence, error.headers)

    @app.exception_handler(exceptions.RequestValidationError)
    async def invalid(request, error):
        first = error.errors()[0]
        name = first["loc"][-1]
        words = Refused(
            422, f"{name}: {first['msg']}; got {first.get('input')!r}"
        )
        return _sentence(422, words.sentence)

    async def missing(request, error):
        words = _HTTP[error.status_code].format(
            path=request.url.path, method=request.method
        )
        words = Refused(error.status_code, words).sentence
        return _sentence(error.status_code, words)

    for status in _HTTP:
        app.add_exception_handler(status, missing)

    @app.exception_handler(400)
    async def bad(request, error):
        words = f"the body cannot be read ({error.detail}); send it anew"
        return _sentence(400, Refused(400, words).sentence)

    @app.exception_handler(Exception)
    async def failed(request, error):
        name = type(error).__name__
        return _sentence(500, f"the server failed ({name}); its log says why")


def _add_pages(app, server):
    import fastapi
    from fastapi import responses

    front, policy = page.front()

    @app.get("/", include_in_schema=False)
    async def root():
        headers = {**_NO_SNIFFING, "Content-Security-Policy": policy}
        return responses.HTMLResponse(front, headers=headers)

    @app.get("/docs", include_in_schema=False)
    async def docs():
        return responses.HTMLResponse(page.reference(app.openapi()))

    @app.get("/healthz", summary="Whether it takes requests")
    async def healthz():
        status = 503 if server.is_draining else 200
        return responses.JSONResponse(server.health(), status_code=status)

    @app.get("/v1/models", summary="The models that can be asked for")
    async def models():
        return {"models": [model.describe() for model in server.models]}

    @app.get("/v1/example", summary="A clip of the kind that a model knows")
    async def example(
        model: Annotated[str | None, fastapi.Query(max_length=200)] = None,
    ):
        path = await server.work(server.example, server.models.get(model))
        return responses.FileResponse(path, media_type="video/mp4")


def _options_of(model, upload, given, names):
    """Options of a decomposition, where they are said."""
    options = {n: given[n] for n in names if given.get(n) is not None}
    if "objects" in options and not model.describe()["follows"]:
        raise Refused(
            422,
            f"{model.name} does not follow objects; leave out objects, or "
            "take a model such as silot_motion",
        )
    return options


def _check_query(request, known):
    """Refuses a name that would otherwise be passed over in silence."""
    for name in request.query_params:
        if name not in known:
            raise Refused(
                400,
                f"there is no option {name!r}; there are {', '.join(known)}",
            )


def _check_site(request):
    """Refuses what a page of somebody else makes a browser send."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Refused(
            403, "a page of another site asked; open the server's own page"
        )


def _query_types():
    """Types of the options, with their bounds and what they are for.

    Returns:
        A namespace, so that an annotation can name one.
    """
    import fastapi

    def query(kind, words, **bounds):
        return Annotated[
            kind | None, fastapi.Query(description=words, **bounds)
        ]

    return types.SimpleNamespace(
        model=query(
            str, "Name of a model; by default the first.", max_length=200
        ),
        seed=query(int, "Seed of the samples.", ge=0, lt=2**31),
        fps=query(float, "Frames per second to keep.", gt=0, le=1e5),
        source_fps=query(float, "Frames per second of arrays.", gt=0, le=1e5),
        fit=query(
            Literal["auto", "letterbox", "crop", "stretch"],
            "How a frame becomes the model's picture.",
        ),
        objects=query(
            int,
            "How many objects there are, of models that follow what moves.",
            ge=1,
            le=1000,
        ),
        format=query(
            Literal["json", "npz"], "Format of the answer; else by Accept."
        ),
        keys=query(str, "Names of the arrays of the answer, with commas."),
    )


def _add_decompose(app, server):
    import fastapi
    from fastapi import responses

    kinds = _query_types()

    @app.post(
        "/v1/decompose",
        summary="Takes a video, a picture or an array apart",
        description=(
            "The body is a form with a file (multipart/form-data), a JSON "
            'object {"video": [T][H][W][C]}, a .npy or .npz file '
            "(application/x-npy, application/x-npz), or a bare video or "
            "picture with its type. Frames of the model's own size are "
            "answered together with other requests of their shape."
        ),
        openapi_extra=_body("a video, a picture or an array"),
    )
    async def decompose(
        request: fastapi.Request,
        model: kinds.model = None,
        seed: kinds.seed = None,
        fps: kinds.fps = None,
        source_fps: kinds.source_fps = None,
        fit: kinds.fit = None,
        objects: kinds.objects = None,
        format: kinds.format = None,
        keys: kinds.keys = None,
    ):
        _check_query(request, vars(kinds))
        _check_site(request)
        given = {"fps": fps, "source_fps": source_fps, "fit": fit}
        given["objects"] = objects
        kind = answers.format_of(format, request.headers.get("accept", ""))
        chosen = server.models.get(model)
        with server.place() as folder:
            upload = await uploads.save(request, folder, server.settings)
            if model is None:
                chosen = server.models.get(upload.fields.get("model"))
            body = await _answered(
                server, request, chosen, upload, seed or 0, given, kind, keys
            )
        return responses.Response(
            body, media_type=answers.TYPES[kind], headers=_NO_SNIFFING
        )


async def _answered(server, request, model, upload, seed, given, kind, keys):
    """The body of an answer."""
    options = _options_of(model, upload, given, _FITTED)
    names = keys and [name.strip() for name in keys.split(",")]
    try:
        item = await server.work(server.submit, model, upload, seed, options)
        outputs = await core.outcome(request, item, server.settings.timeout_s)
        write = functools.partial(answers.of, outputs, model.name, kind, names)
        return await server.work(write)
    except Exception as error:
        raise core.explained(error, upload) from error


def _add_jobs(app, server):
    import fastapi
    from fastapi import responses

    kinds = _query_types()

    @app.post(
        "/v1/jobs",
        status_code=202,
        summary="Starts a job: a video of any length",
        openapi_extra=_body("a video or a picture"),
    )
    async def start(
        request: fastapi.Request,
        model: kinds.model = None,
        seed: kinds.seed = None,
        fps: kinds.fps = None,
        source_fps: kinds.source_fps = None,
        fit: kinds.fit = None,
        objects: kinds.objects = None,
    ):
        _check_query(request, ("model", *_JOB))
        _check_site(request)
        given = {"seed": seed, "fps": fps, "source_fps": source_fps}
        given |= {"fit": fit, "objects": objects}
        chosen = server.models.get(model)
        with server.place():
            job = server.jobs.begin()
            try:
                upload = await uploads.save(
                    request, job.folder, server.settings
                )
                if model is None:
                    chosen = server.models.get(upload.fields.get("model"))
                options = _options_of(chosen, upload, given, _JOB)
            except BaseException:
                server.jobs.drop(job.id)
                raise
            server.jobs.start(job, chosen, upload, options)
        return job.report(server.settings.job_lifetime_s)

    @app.get("/v1/jobs/{name}", summary="How far a job is")
    async def report(name: str):
        job = server.jobs.get(name)
        return job.report(server.settings.job_lifetime_s)

    @app.delete(
        "/v1/jobs/{name}",
        status_code=204,
        summary="Stops a job and removes its files",
    )
    async def drop(name: str, request: fastapi.Request):
        _check_site(request)
        server.jobs.drop(name)

    @app.get("/v1/jobs/{name}/files/{file:path}", summary="A file of a job")
    async def fetch(name: str, file: str):
        path = server.jobs.file(name, file)
        headers = dict(_NO_SNIFFING)
        if path.suffix == ".html":
            headers |= _REPORT
        return responses.FileResponse(path, headers=headers)


def _body(words):
    """What the reference says of a body that is read by ourselves."""
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "model": {"type": "string"},
        },
    }
    bare = {"schema": {"type": "string", "format": "binary"}}
    nested = {"type": "object", "properties": {"video": {"type": "array"}}}
    content = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": nested},
        "application/x-npy": bare,
        "application/x-npz": bare,
        "video/*": bare,
        "image/*": bare,
    }
    return {
        "requestBody": {
            "required": True,
            "description": words,
            "content": content,
        }
    }
