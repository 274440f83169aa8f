# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

complete -c qwen-login -l provider -d 'Use this provider: openai, dashscope, openrouter, …; \'custom\' for any other endpoint' -r -f -a "openai\t''
qwen\t''
dashscope\t''
coding-plan\t''
token-plan\t''
modelscope\t''
openrouter\t''
azure-v1\t''
azure\t''
deepseek\t''
requesty\t''
xai\t''
minimax\t''
zai\t''
moonshot\t''
vllm\t''
llama.cpp\t''
ollama\t''
custom\t''"
complete -c qwen-login -l base-url -d 'Send requests to this endpoint' -r -f
complete -c qwen-login -l model -d 'Ask this model' -r -f -a "(__qwen_models)"
complete -c qwen-login -l store -d 'Keep the credential there: auto, keyring or file' -r -f -a "auto\t'The keyring where one answers, a file where none exists'
keyring\t'The system keyring or nothing'
file\t'A file that only its owner can read'"
complete -c qwen-login -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-login -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-login -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-login -l oauth -d 'Log in through a browser, on this machine or any other'
complete -c qwen-login -l api-key -d 'Set up an API key'
complete -c qwen-login -l import -d 'Adopt the login of Qwen Code'
complete -c qwen-login -l with-key -d 'Read the API key from standard input'
complete -c qwen-login -l no-browser -d 'Open no browser'
complete -c qwen-login -l qr -d 'Draw the address as a QR code, however narrow the terminal'
complete -c qwen-login -l no-verify -d 'Store the credential without a trial request'
complete -c qwen-login -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-login -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-login -s h -l help -d 'Print help'
complete -c qwen-login -s V -l version -d 'Print version'
