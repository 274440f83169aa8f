# shellcheck shell=bash disable=SC2016,SC2154     # backquotes are Markdown's; variables of tests/bench
# tests/bench, section proxy: what qwen-proxy costs, beside the same server asked directly, nginx doing the same, and LiteLLM's
# proxy where it is there. 'The same' is a location of nginx that checks one token and sets another.
#
# Requests are counted with 64 connections, in rounds in which all take part; the ratio is the median of the rounds'. So is the
# processor time a request, which the other load of the machine changes less.

key=sk-bench-0123456789abcdef lent=sk-lent-0123456789abcdef

# nginx_before NAME BACKEND-PORT - sets port and pid.
nginx_before() {
    port=$(free_port)
    start_nginx "$1" "$port" "map \$http_authorization \$is_ours { 'Bearer $lent' 1; default 0; }
        upstream back { server 127.0.0.1:$2; keepalive 64; }
        server { listen 127.0.0.1:$port; location / {
            if (\$is_ours = 0) { return 401; }
            proxy_pass http://back; proxy_http_version 1.1; proxy_buffering off;
            proxy_set_header Connection ''; proxy_set_header Authorization 'Bearer $key'; } }"
    pid=${server_pids[-1]}
}

# ours_before BACKEND-PORT - sets port, token and pid.
ours_before() {
    local variables
    mkfifo "$work/variables.$1"
    env -i HOME="$work" PATH="$PATH" OPENAI_API_KEY=$key OPENAI_BASE_URL="http://127.0.0.1:$1/v1" \
        qwen-proxy --format json >"$work/variables.$1" 2>"$work/proxy.log" &
    pid=$!
    server_pids+=("$pid")
    read -r variables <"$work/variables.$1" || { cat "$work/proxy.log" >&2; return 1; }
    port=$(jq -r '.OPENAI_BASE_URL | capture(":(?<port>[0-9]+)/").port' <<<"$variables")
    token=$(jq -r .OPENAI_API_KEY <<<"$variables")
}

# litellm_before BACKEND-PORT - sets port and pid.
litellm_before() {
    local litellm=${QWEN_PEERS_DIR:-$peers/../../target/peers}/litellm/bin/litellm
    if ! [ -x "$litellm" ]; then left_out LiteLLM 'tests/peers/install litellm brings it'; return 1; fi
    port=$(free_port)
    jq -n --arg base "http://127.0.0.1:$1/v1" --arg key "$key" --arg lent "$lent" '{general_settings: {master_key: $lent},
        model_list: [{model_name: "3", litellm_params: {model: "openai/3", api_base: $base, api_key: $key}}]}' >"$work/litellm.yaml"
    "$litellm" --config "$work/litellm.yaml" --port "$port" --num_workers 2 >"$work/litellm.log" 2>&1 &
    pid=$!
    server_pids+=("$pid")
    answers "$port" || { tail -n 5 "$work/litellm.log" >&2; return 1; }
}

# The request, which wrk sends again and again.
write_request() {
    printf '%s\n' >"$work/post.lua" 'wrk.method = "POST"' \
        "wrk.body = '{\"model\":\"3\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}'" \
        'wrk.headers["Content-Type"] = "application/json"' \
        'wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")'
}

# load PORT TOKEN PID - sets rate (requests a second) and cost (microseconds of PID's processor time a request), both empty
# when a request was not answered with 200.
load() {
    local before=0 count
    rate='' cost=''
    [ "$3" = 0 ] || before=$(busy_of "$3")
    TOKEN=$2 wrk -t 1 -c 64 -d "${BENCH_SECONDS:-3}s" -s "$work/post.lua" "http://127.0.0.1:$1/v1/chat/completions" >"$work/wrk" 2>&1
    if grep -q Non-2xx "$work/wrk" || ! grep -q ^Requests/sec "$work/wrk"; then cat "$work/wrk" >&2; return; fi
    rate=$(awk '/^Requests\/sec/ { print $2 }' "$work/wrk")
    count=$(awk '/ requests in / { print $1 }' "$work/wrk")
    [ "$3" = 0 ] || cost=$(calc 'a * 10000 / b' "$(($(busy_of "$3") - before))" "$count")
}

median() { printf '%s\n' "$@" | sort -g | awk '{ all[NR] = $1 } END { if (NR) print all[int((NR + 1) / 2)] }'; }

# throughput - rows about requests a second.
throughput() {
    local backend nginx nginx_pid ours ours_pid ours_token round what='`qwen-proxy`, requests a second, 64 at once'
    local rates=() nginx_rates=() ratios=() costs=() nginx_costs=()
    write_request
    backend=$(free_port)
    start_backend "$backend"
    nginx_before nginx-small "$backend"
    nginx=$port nginx_pid=$pid
    ours_before "$backend" || return
    ours=$port ours_pid=$pid ours_token=$token
    for ((round = 0; round < ${BENCH_ROUNDS:-5}; round++)); do
        load "$nginx" "$lent" "$nginx_pid"
        nginx_rates+=("$rate") nginx_costs+=("$cost")
        load "$ours" "$ours_token" "$ours_pid"
        rates+=("$rate") costs+=("$cost")
        ratios+=("$(calc 'a / b' "$rate" "${nginx_rates[-1]}")")
    done
    paired "$what" /s "$(median "${rates[@]}")" nginx "$(median "${nginx_rates[@]}")" "$(median "${ratios[@]}")" '>=0.4'
    row 'its processor time for each' µs "$(median "${costs[@]}")" nginx "$(median "${nginx_costs[@]}")"
    load "$backend" "$key" 0
    row "$what" /s "$(median "${rates[@]}")" 'no proxy' "$rate"
    if litellm_before "$backend"; then
        load "$port" "$lent" "$pid"
        row "$what" /s "$(median "${rates[@]}")" LiteLLM "$rate" '>=100'
        row 'peak memory of that' MiB "$(peak_of "$ours_pid")" LiteLLM "$(peak_of "$pid")"
    fi
}

# latency - rows about what it adds to a request from a client on this machine, and about its memory.
latency() {
    local stream=${peer_url[stream]##*:} nginx nginx_pid none=() theirs=() figures=()
    nginx_before nginx-stream "$stream"
    nginx=$port nginx_pid=$pid
    ours_before "$stream" || return
    { read -ra none && read -ra theirs && read -ra figures; } < <(
        "$peers/proxy_meter.py" "${BENCH_RUNS:-500}" "http://127.0.0.1:$stream/v1" "$key" 0 \
            "http://127.0.0.1:$nginx/v1" "$lent" "$nginx_pid" "http://127.0.0.1:$port/v1" "$token" "$pid"
    )
    added 'added to a small answer' 0
    added 'added to the first byte of a stream' 1
    row_alone '`qwen-proxy`, peak memory with 256 streams' MiB "$(calc 'a / 1024' "${figures[2]-}")" 24
}

# added WHAT COLUMN - what proxies add to a column of latency's figures.
added() {
    local own
    own=$(calc 'a - b' "${figures[$2]-}" "${none[$2]-}")
    row_alone "\`qwen-proxy\`, $1" ms "$own" 0.3
    row "$1" ms "$own" nginx "$(calc 'a - b' "${theirs[$2]-}" "${none[$2]-}")"
}

proxy_figures() {
    throughput
    latency
}
