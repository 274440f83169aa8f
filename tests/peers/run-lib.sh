# shellcheck shell=bash
# Start and stop peers from a bash script; sourced by tests/demo and tests/bench.
#
#   peers_in DIRECTORY              where their logs go; called first
#   start_peer NAME COMMAND...      waits for its line 'listening URL': then it is ready, and ${peer_url[NAME]} is that URL
#   stop_peers                      ends all of them, by their own process ids
#   oauth_config SERVER BASE_URL    a config.json whose one profile, 'demo', logs in at SERVER (peers/identity.mjs)
#
# A peer also ends by itself when this shell does, however that happens: its standard input is a pipe from here.

# shellcheck disable=SC2034     # peer_url is for the script
declare -A peer_url=() peer_pid=() peer_in=()
peer_bin=${QWEN_PEERS_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/target/peers}/node-bin
PATH=$peer_bin:$PATH    # tests/peers/install puts a Node there where the system's is too old
peer_limit=240          # seconds that a peer may take to become ready, or to end

peers_in() { peer_logs=$1; }

start_peer() {
    local name=$1 word='' said input end=$((SECONDS + peer_limit))
    local answers=$peer_logs/$name.out complaints=$peer_logs/$name.err
    shift
    mkfifo "$answers" && exec {said}<>"$answers" || return
    exec {input}> >(
        for input in "${peer_in[@]}" "$said"; do exec {input}>&-; done  # or one peer would keep another one's input open
        exec "$@" >"$answers" 2>"$complaints"
    )
    peer_pid[$name]=$! peer_in[$name]=$input
    while [ "$word" != listening ]; do
        if ! kill -0 "${peer_pid[$name]}" 2>/dev/null || ((SECONDS > end)); then
            printf '%s did not start:\n' "$name" >&2
            tail -n 20 "$complaints" >&2
            return 1
        fi
        IFS=' ' read -t 0.2 -r word "peer_url[$name]" <&"$said" || :
    done
}

stop_peers() {
    local name pid end
    for name in "${!peer_pid[@]}"; do
        pid=${peer_pid[$name]} end=$((SECONDS + 5))
        kill "$pid" 2>/dev/null || :
        while kill -0 "$pid" 2>/dev/null; do
            if ((SECONDS > end)); then kill -KILL "$pid"; fi
            sleep 0.02
        done
        unset "peer_pid[$name]" "peer_in[$name]"
    done
}

oauth_config() {
    jq -n --arg server "$1" --arg base_url "$2" '"\($server)/api/v1/oauth2" as $at | {
        default_profile: "demo",
        profiles: { demo: {
            provider: "custom", method: "oauth", base_url: $base_url, model: "tiny",
            oauth: {
                device_authorization_endpoint: "\($at)/device/code", token_endpoint: "\($at)/token",
                revocation_endpoint: "\($at)/revoke",
                client_id: "qwen-cli-test", scope: "openid profile email offline_access model.completion",
                pkce: true, allowed_hosts: ["127.0.0.1"]
            }
        } }
    }'
}
