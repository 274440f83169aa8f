# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

complete -c qwen-token -l min-ttl -d 'Refresh a token that lives for less than this' -r
complete -c qwen-token -l format -d 'Print it like this: raw, json, header, env or curl' -r -f -a "raw\t'The token and a newline'
json\t'One JSON object with the token, its times, and where it is for'
header\t'A header line, for \'curl -H @-\''
env\t'Shell statements that export OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL'
curl\t'Configuration lines, for \'curl -K -\''"
complete -c qwen-token -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-token -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-token -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-token -l refresh -d 'Refresh the token now'
complete -c qwen-token -l no-refresh -d 'Never refresh: use no network'
complete -c qwen-token -l check -d 'Print no token, exit 0 when it is valid and 1 when not; use no network'
complete -c qwen-token -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-token -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-token -s h -l help -d 'Print help'
complete -c qwen-token -s V -l version -d 'Print version'

# The command after '--', and its arguments as that command has them.
function __qwen_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    or return
    set -e words[1..$at]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end
complete -c qwen-token -n 'contains -- -- (commandline -opc)' -x -a '(__qwen_command)'
