# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

complete -c qwen-env -l shell -d 'Write for this shell instead of the parent process: sh, dash, bash, zsh, ksh, mksh, busybox, yash, posh, fish, tcsh, csh, elvish, xonsh, nu, pwsh' -r -f -a "sh\t''
dash\t''
bash\t''
zsh\t''
ksh\t''
mksh\t''
busybox\t''
yash\t''
posh\t''
fish\t''
tcsh\t''
csh\t''
elvish\t''
xonsh\t''
nu\t''
pwsh\t''"
complete -c qwen-env -l format -d 'Write shell code (shell) or data (json, dotenv, null)' -r -f -a "shell\t'Statements for a shell to evaluate'
json\t'One JSON object'
dotenv\t'A .env file'
null\t'NAME=value, each ended by a NUL'"
complete -c qwen-env -l get -d 'Print the value of one variable; exit 1 when it is unset' -r
complete -c qwen-env -l hook -d 'Print code that re-evaluates on a change of directory, for bash, zsh, fish, elvish or nu' -r -f -a "bash\t''
zsh\t''
fish\t''
elvish\t''
nu\t''"
complete -c qwen-env -l chain -d 'Combine the files by this rule: first, or merge' -r -f -a "first\t'The first file found is the only one'
merge\t'The first project file, then each home file'"
complete -c qwen-env -l file -d 'Use this file instead of the chain' -r -F
complete -c qwen-env -l trust -d 'Trust the project\'s file, or FILE, with its present content' -r -F
complete -c qwen-env -l untrust -d 'Take that trust back' -r -F
complete -c qwen-env -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-env -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-env -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-env -l explain -d 'Tell every file and every variable with its fate, values masked'
complete -c qwen-env -l show-secrets -d 'With --explain: show the values'
complete -c qwen-env -l check -d 'Look for mistakes in the files; exit 65 when there are any'
complete -c qwen-env -l unset -d 'Take back what earlier calls exported'
complete -c qwen-env -l auth -d 'Add OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL of the active profile'
complete -c qwen-env -l override -d 'Let the files win over the environment'
complete -c qwen-env -l require -d 'Fail with exit 66 when no file is found'
complete -c qwen-env -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-env -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-env -s h -l help -d 'Print help'
complete -c qwen-env -s V -l version -d 'Print version'

# The command after '--', and its arguments as that command has them.
function __qwen_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    or return
    set -e words[1..$at]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end
complete -c qwen-env -n 'contains -- -- (commandline -opc)' -x -a '(__qwen_command)'
