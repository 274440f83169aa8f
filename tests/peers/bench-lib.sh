# shellcheck shell=bash disable=SC2016,SC2154     # backquotes are Markdown's; variables of tests/bench
# What the sections of tests/bench share: rows of the table, figures, servers. Sourced after run-lib.sh, with $work set.

exceeded=()             # what is over its limit, or has no figure
server_pids=()

fail() { printf 'bench: %s\n' "$*" >&2; exit 1; }
left_out() { printf 'bench: left out: %s: %s\n' "$1" "$2" >&2; }
is_there() { command -v "$1" >/dev/null; }
is_number() { [[ ${1-} =~ ^-?[0-9]+([.][0-9]+)?$ ]]; }

# calc EXPRESSION [NUMBER...] - what awk makes of it with a, b, c, d; nothing where one of them is no number.
calc() {
    local expression=$1 name arguments=()
    shift
    for name in a b c d; do
        [ $# -gt 0 ] || break
        is_number "$1" || return 0
        arguments+=(-v "$name=$1")
        shift
    done
    awk "${arguments[@]}" "BEGIN { printf \"%.6f\", ($expression) }"
}

# shown NUMBER UNIT - three digits, or all of a whole number.
shown() {
    local number
    if ! is_number "$1"; then printf 'none'; return; fi
    number=$(awk -v n="$1" 'BEGIN { size = n < 0 ? -n : n; printf size < 0.1 ? "%.2g" : size < 10 ? "%.2f" : size < 100 ? "%.1f" : "%.0f", n }' |
        sed -E ':again; s/^([0-9]+)([0-9]{3})/\1,\2/; t again')
    printf '%s%s' "$number" "${2:+ $2}"
}

# judged FIGURE LIMIT - the limit as it is shown, in bold where FIGURE does not keep it. '>=' before it: at least so much.
judged() {
    local figure=$1 limit=$2 sign='≤' test='<='
    [ -n "$limit" ] || return 0
    if [[ $limit == '>='* ]]; then sign='≥' test='>=' limit=${limit#>=}; fi
    if is_number "$figure" && awk -v "figure=$figure" -v "limit=$limit" "BEGIN { exit !(figure $test limit) }"; then
        printf '%s %s' "$sign" "$limit"
    else
        printf '**%s %s**' "$sign" "$limit"
    fi
}

line() { printf '| %s | %s | %s | %s | %s |\n' "$@"; }

# paired WHAT UNIT OURS PEER THEIRS RATIO [LIMIT] - a figure of ours beside that of a peer; the limit is that of the ratio.
paired() {
    local limit
    limit=$(judged "$6" "${7-}")
    case $limit in '**'*) exceeded+=("$1: $(shown "$6" '')") ;; esac
    line "$1" "$(shown "$3" "$2")" "$4 $(shown "$5" "$2")" "$(shown "$6" '')" "$limit"
}

# row WHAT UNIT OURS PEER THEIRS [LIMIT] - as paired, with the ratio of the two figures.
row() {
    paired "${@:1:5}" "$(calc 'b > 0 ? a / b : 0' "$3" "$5")" "${6-}"
}

# row_alone WHAT UNIT OURS [LIMIT] - a figure of ours alone; the limit is its own.
row_alone() {
    local limit
    limit=$(judged "$3" "${4-}")
    case $limit in '**'*) exceeded+=("$1: $(shown "$3" "$2")") ;; esac
    line "$1" "$(shown "$3" "$2")" '' '' "${limit:+$limit $2}"
}

# measure RUNS COMMAND... - sets first and whole (milliseconds, medians) and peak (MiB), an array each, by the commands' order.
# Of RUNS so many percent as BENCH_PERCENT says, to try the script.
measure() {
    local one two three runs=$((($1 * ${BENCH_PERCENT:-100} + 99) / 100))
    shift
    first=() whole=() peak=()
    while read -r one two three; do
        first+=("$one") whole+=("$two") peak+=("$(calc 'a / 1024' "$three")")
    done < <("$peers/meter.py" "$runs" "$@" 2>>"$work/log")
    if [ ${#whole[@]} = 0 ] || [[ " ${whole[*]} " == *' - '* ]]; then tail -n 5 "$work/log" >&2; fi
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# answers PORT - waits until a server answers there.
answers() {
    local end=$((SECONDS + 120))
    until curl -s -o /dev/null "http://127.0.0.1:$1/"; do
        if ((SECONDS > end)); then return 1; fi
        sleep 0.05
    done
}

# start_nginx NAME PORT SERVER - an nginx of two processes; its first process is the last of server_pids.
start_nginx() {
    mkdir -p "$work/$1"
    printf '%s\n' 'worker_processes 2; daemon off; pid nginx.pid; error_log error.log;' 'events { worker_connections 2048; }' \
        'http { access_log off; keepalive_requests 100000000;' \
        'client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;' \
        "$3" '}' >"$work/$1/nginx.conf"
    nginx -p "$work/$1" -c nginx.conf 2>/dev/null &
    server_pids+=("$!")
    answers "$2"
}

# start_backend PORT - an nginx that gives every request the same small answer.
start_backend() {
    local answer='{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi there"},"finish_reason":"stop"}]}'
    start_nginx "backend-$1" "$1" "server { listen 127.0.0.1:$1; location / { default_type application/json; return 200 '$answer'; } }"
}

end_servers() {
    local pid
    for pid in "${server_pids[@]}"; do kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; done
    server_pids=()
}

# family PID - the process and all that it has started.
family() {
    local child children
    printf '%s\n' "$1"
    read -ra children < <(cat "/proc/$1/task"/*/children 2>/dev/null | tr '\n' ' ')
    for child in "${children[@]}"; do family "$child"; done
}

# peak_of PID - the peaks of the process and all that it has started, together, in MiB.
peak_of() {
    local pid sum=0
    for pid in $(family "$1"); do
        sum=$((sum + $(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)))
    done
    calc 'a / 1024' "$sum"
}

# busy_of PID - the processor time of the process and all that it has started, in ticks of 10 ms.
busy_of() {
    local pid sum=0
    for pid in $(family "$1"); do
        sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk '{ print $12 + $13 }' || echo 0)))
    done
    echo "$sum"
}
