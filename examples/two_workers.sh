#!/usr/bin/env bash
# One training on two processes of this machine, as on two machines.
#
#   examples/two_workers.sh --gin_file=gin/smoke/provide.gin \
#       --workdir=/tmp/two --data_dir=/tmp/data
#
# All flags are those of tfdecomp.train. Process 0 writes the files; what both
# print is below, with the number in front. On several machines the same
# TF_CONFIG is set on each, with their names, one port, and their own index.
set -euo pipefail
python=${PYTHON:-python}

# Two ports that nobody listens on, asked for at once so that they differ.
read -r first second < <("$python" - <<'PORTS'
import socket
sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))
PORTS
)
hosts="\"localhost:$first\", \"localhost:$second\""

worker() { # INDEX FLAG ...
    local index=$1
    shift
    local task="{\"type\": \"worker\", \"index\": $index}"
    TF_CONFIG="{\"cluster\": {\"worker\": [$hosts]}, \"task\": $task}" \
        exec "$python" -m tfdecomp.train "$@"
}

(worker 0 "$@") > >(sed 's/^/0: /') 2> >(sed 's/^/0: /' >&2) &
zero=$!
(worker 1 "$@") > >(sed 's/^/1: /') 2> >(sed 's/^/1: /' >&2) &
one=$!

# Once: both save at one step, and a second signal would cut that short.
stopping=
stop() {
    [ -n "$stopping" ] || kill -TERM "$zero" "$one" 2> /dev/null || true
    stopping=1
}
trap stop INT TERM

status_of() { # PROCESS; a signal cuts one wait short, so it may take several
    local code
    while true; do
        code=0
        wait "$1" || code=$?
        kill -0 "$1" 2> /dev/null || return "$code"
    done
}

# One that fails would leave the other waiting for it.
first=0
wait -n "$zero" "$one" || {
    first=$?
    stop
}
status=0
status_of "$zero" || status=$?
status_of "$one" || status=$?
# The first to fail says why; the other was only told to end.
if [ "$first" -gt 0 ] && [ "$first" -le 128 ]; then status=$first; fi
exit "$status"
