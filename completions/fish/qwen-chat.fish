# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

complete -c qwen-chat -l openai-api-key -d 'API key; anybody on this machine can read it from the process list' -r
complete -c qwen-chat -l openai-base-url -d 'Base URL of the API, such as https://api.openai.com/v1' -r -f
complete -c qwen-chat -s m -l model -d 'Model to ask' -r -f -a "(__qwen_models)"
complete -c qwen-chat -s p -l prompt -d 'Prompt as one option, the way Qwen Code takes it; goes before the words' -r
complete -c qwen-chat -s s -l system -d 'Instructions to the model, as text or from a file' -r
complete -c qwen-chat -s f -l file -d 'Add a text file with its name; may be given several times' -r -F
complete -c qwen-chat -s i -l image -d 'Add an image; may be given several times' -r -F
complete -c qwen-chat -l stdin-timeout -d 'Give up when standard input brings nothing in this time' -r
complete -c qwen-chat -l session -d 'Keep the conversation under this name and go on with it' -r
complete -c qwen-chat -l temperature -d 'Sampling temperature' -r
complete -c qwen-chat -l top-p -d 'Nucleus sampling threshold' -r
complete -c qwen-chat -l max-tokens -d 'Most tokens of the answer' -r
complete -c qwen-chat -l seed -d 'Seed for a repeatable answer' -r
complete -c qwen-chat -l stop -d 'Stop before this text; may be given several times' -r
complete -c qwen-chat -l param -d 'Set any member of the request; null takes it away' -r
complete -c qwen-chat -l schema -d 'Ask for JSON by this schema, and check that the answer fits' -r -F
complete -c qwen-chat -l reasoning -d 'What to do with the model\'s reasoning: drop, stderr or stdout' -r -f -a "drop\t'Leave it out'
stderr\t'Print it on standard error'
stdout\t'Print it before the answer'"
complete -c qwen-chat -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-chat -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-chat -l first-byte-timeout -d 'Limit for the beginning of the answer [default: 120]' -r
complete -c qwen-chat -l idle-timeout -d 'Limit for a pause within the answer [default: 60]' -r
complete -c qwen-chat -l max-time -d 'Limit for everything, retries included [default: none]' -r
complete -c qwen-chat -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-chat -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-chat -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-chat -l list-models -d 'Print the models that the endpoint offers'
complete -c qwen-chat -l dry-run -d 'Print the request instead of sending it, and where each setting came from'
complete -c qwen-chat -l curl -d 'Print a curl command that sends the request with a key from qwen-token'
complete -c qwen-chat -l stdin -d 'Read standard input to its end, whatever it is'
complete -c qwen-chat -l no-stdin -d 'Do not read standard input'
complete -c qwen-chat -l continue -d 'Go on with the session used last'
complete -c qwen-chat -l json -d 'Print one JSON object at the end'
complete -c qwen-chat -l events -d 'Print one JSON object per line as things happen'
complete -c qwen-chat -l no-stream -d 'Ask for the answer in one piece'
complete -c qwen-chat -l extract -d 'Print only the first fenced code block'
complete -c qwen-chat -l usage -d 'Say on standard error what the answer cost'
complete -c qwen-chat -l strict -d 'Exit 1 when the answer was cut by a limit or a filter'
complete -c qwen-chat -l no-pace -d 'Do not wait for the quota'
complete -c qwen-chat -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-chat -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-chat -s h -l help -d 'Print help'
complete -c qwen-chat -s V -l version -d 'Print version'
