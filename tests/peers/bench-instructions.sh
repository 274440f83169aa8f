# shellcheck shell=bash disable=SC2016,SC2154     # backquotes are Markdown's; variables of tests/bench
# tests/bench, section instructions, --compare and --order: how many instructions the programs need, as callgrind counts them, and
# which functions have them.

tasks=(env token dispatcher chat batch proxy)
declare -A task_name=(
    [env]='`qwen-env`, five levels below its `.env`' [token]='`qwen-token`, a live login in a file'
    [dispatcher]='`qwen NAME`, a tool that cannot be run' [chat]='`qwen-chat`, 20,000 tokens to a pipe'
    [batch]='`qwen-batch run`, 1,000 lines' [proxy]='`qwen-proxy`, 1,000 requests'
)

# counted COMMAND... - the instructions of a program, without those of others that it runs.
counted() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" </dev/null >/dev/null 2>"$work/callgrind"
    collected
}

# counted_in_background COMMAND... - as counted, for a program that prints its variables and serves; sets proxy.
counted_in_background() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" </dev/null >"$work/counted.variables" 2>"$work/callgrind" &
    proxy=$!
}

collected() { awk '/Collected *:/ { print $4 }' "$work/callgrind"; }

# with_key - for what asks the loopback server by a key; in a subshell, since a key in the environment beats a login.
with_key() { export OPENAI_API_KEY=sk-bench OPENAI_BASE_URL=${peer_url[stream]}/v1 OPENAI_MODEL=${1-3}; }

count_env() { counted qwen-env; }
count_token() { counted qwen-token; }

# The tool is a file that cannot be run: valgrind loses what it has counted when a program replaces itself by another.
count_dispatcher() {
    lay_stub
    counted "$work/stub/qwen" stub
}

lay_stub() { mkdir -p "$work/stub" && cp -f "$(command -v qwen)" "$work/stub" && : >"$work/stub/qwen-stub"; }

count_chat() { with_key 20000; counted qwen-chat hi; }

count_batch() {
    with_key
    rm -f "$work/counted.out"
    seq 1000 | sed 's/.*/{"custom_id":"q&","body":{"messages":[{"role":"user","content":"hi &"}]}}/' >"$work/counted.jsonl"
    counted qwen-batch run -q "$work/counted.jsonl" -o "$work/counted.out" -j 8
}

# Served without a COMMAND, which valgrind's own way to start processes does not let it run.
count_proxy() {
    local variables proxy
    with_key
    rm -f "$work/counted.variables" && mkfifo "$work/counted.variables" || return
    counted_in_background qwen-proxy --format json
    read -r variables <"$work/counted.variables" || return
    OPENAI_BASE_URL=$(jq -r .OPENAI_BASE_URL <<<"$variables") OPENAI_API_KEY=$(jq -r .OPENAI_API_KEY <<<"$variables") \
        "$peers/proxy_requests.py" 1000 >&2
    kill "$proxy" && wait "$proxy"
    collected
}

# count_all - sets count, by task, for the programs in use. The least of three runs: what the kernel hands over at a time differs.
count_all() {
    local task number
    count=()
    for task in "${tasks[@]}" "${tasks[@]}" "${tasks[@]}"; do
        number=$("count_$task")
        if is_number "$number" && [ "${count[$task]:-$number}" -ge "$number" ]; then count[$task]=$number; fi
    done
}

instructions_figures() {
    local task
    local -A count
    if ! is_there valgrind; then left_out 'instructions' 'tests/peers/install bench brings valgrind'; return; fi
    count_all
    for task in "${tasks[@]}"; do
        row_alone "${task_name[$task]}: instructions" million "$(calc 'a / 1000000' "${count[$task]-}")"
    done
}

# built_from NAME COMMIT-OR-DIRECTORY - sets programs: where they are. One target directory for all: what they depend on is built
# once.
built_from() {
    if [ -d "$2" ]; then programs=$(cd "$2" && pwd); return; fi
    local tree=$work/tree-$1 tool
    git -C "$root" worktree add --quiet --detach "$tree" "$2" || fail "no commit '$2'"
    worktrees+=("$tree")
    printf 'bench: building %s\n' "$2" >&2
    CARGO_TARGET_DIR=$work/target cargo build --profile "$profile" --locked --quiet --manifest-path "$tree/Cargo.toml" ||
        fail "'$2' cannot be built"
    programs=$work/programs-$1
    mkdir "$programs"
    for tool in "$work/target/$profile"/qwen*; do
        if [ -f "$tool" ] && [ -x "$tool" ]; then cp "$tool" "$programs"; fi
    done
}

# compare_programs A B - the table of two commits.
compare_programs() {
    local task more before=$HOME first second
    local -A count old
    built_from a "$1" && first=$programs
    built_from b "$2" && second=$programs
    use "$first" "$work/home-a"
    count_all
    for task in "${tasks[@]}"; do old[$task]=${count[$task]-}; done
    use "$second" "$work/home-b"
    count_all
    export HOME=$before
    printf '| instructions | %s | %s | change |\n| --- | --- | --- | --- |\n' "$1" "$2"
    for task in "${tasks[@]}"; do
        more=$(calc '(b - a) * 100 / a' "${old[$task]}" "${count[$task]-}")
        printf '| %s | %s | %s | %s |\n' "${task_name[$task]}" "$(shown "${old[$task]}" '')" "$(shown "${count[$task]-}" '')" \
            "$(is_number "$more" && printf '%+.1f %%' "$more")"
        # What the old programs cannot do has nothing to be compared with.
        if [ -z "${count[$task]-}" ] || { is_number "$more" && awk "BEGIN { exit !($more > $limit) }"; }; then
            exceeded+=("${task_name[$task]}: ${more:-no figure}")
        fi
    done
}

# functions_of NAME COMMAND... - notes which functions a program runs.
functions_of() {
    local name=$1
    shift
    valgrind --tool=callgrind --demangle=no --callgrind-out-file="$work/functions.$name" "$@" </dev/null >/dev/null 2>&1
    [ -s "$work/functions.$name" ] || fail "callgrind could not run $1"
}

# write_order - bins/start.ld, from programs that have kept the names of their functions.
write_order() {
    local programs=$root/target/order
    is_there valgrind || fail 'tests/peers/install bench brings valgrind'
    CARGO_PROFILE_RELEASE_STRIP=none CARGO_TARGET_DIR=$programs cargo build --release --locked --quiet \
        --manifest-path "$root/Cargo.toml" --bin qwen --bin qwen-env --bin qwen-token --bin qwen-login || fail 'cargo build'
    use "$programs/release" "$work/home"
    functions_of env qwen-env
    functions_of token qwen-token
    lay_stub
    functions_of dispatcher "$work/stub/qwen" stub
    "$peers/start_order.py" "$work"/functions.* >"$work/start.ld" && cp "$work/start.ld" "$root/bins/start.ld"
}
