# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_qwen_global_optspecs
    string join \n list exec-path profile= C/directory= q/quiet v/verbose color= h/help V/version
end

function __fish_qwen_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_qwen_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_qwen_using_subcommand
    set -l cmd (__fish_qwen_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c qwen -n "not __qwen_tool >/dev/null" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "not __qwen_tool >/dev/null" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "not __qwen_tool >/dev/null" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "not __qwen_tool >/dev/null" -l list -d 'List the tools that can be run, and what they do'
complete -c qwen -n "not __qwen_tool >/dev/null" -l exec-path -d 'Print the directory that is searched before PATH'
complete -c qwen -n "not __qwen_tool >/dev/null" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "not __qwen_tool >/dev/null" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "not __qwen_tool >/dev/null" -s h -l help -d 'Print help'
complete -c qwen -n "not __qwen_tool >/dev/null" -s V -l version -d 'Print version'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "login" -d 'Obtain a credential and store it'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "auth" -d 'Show, switch and remove credentials'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "env" -d 'Print the resolved .env chain as shell code'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "token" -d 'Print a valid token, refreshing it when due'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "chat" -d 'Ask a model one question and print its answer'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "batch" -d 'Ask a model many questions: JSONL in, JSONL out'
complete -c qwen -n "not __qwen_tool >/dev/null" -f -a "help" -d 'Print the help of a tool'
complete -c qwen -n "__fish_qwen_using_subcommand login" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand login" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand login" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand login" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand login" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand login" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand auth" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand auth" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand auth" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand auth" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand auth" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand auth" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand env" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand env" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand env" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand env" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand env" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand env" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand token" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand token" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand token" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand token" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand token" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand token" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand chat" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand chat" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand chat" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand chat" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand chat" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand chat" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand batch" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand batch" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand batch" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand batch" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand batch" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand batch" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand help" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen -n "__fish_qwen_using_subcommand help" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen -n "__fish_qwen_using_subcommand help" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen -n "__fish_qwen_using_subcommand help" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen -n "__fish_qwen_using_subcommand help" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen -n "__fish_qwen_using_subcommand help" -s h -l help -d 'Print help'
complete -c qwen -n "__fish_qwen_using_subcommand help" -f -a "login auth env token chat batch"

# 'qwen NAME ...' is completed as 'qwen-NAME ...'.
function __qwen_tool
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --profile --directory -C --color
                set -e words[1]
            case '-*'
            case '*'
                printf '%s\n' $words
                return 0
        end
        set -e words[1]
    end
    return 1
end
function __qwen_complete_tool
    set -l words (__qwen_tool)
    complete -C (string join ' ' -- qwen-$words[1] (string escape -- $words[2..]) (commandline -ct))
end
complete -c qwen -n '__qwen_tool >/dev/null; and not __fish_qwen_using_subcommand help' -x -a '(__qwen_complete_tool)'
