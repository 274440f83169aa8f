# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_qwen_auth_global_optspecs
    string join \n profile= C/directory= q/quiet v/verbose color= h/help V/version
end

function __fish_qwen_auth_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_qwen_auth_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_qwen_auth_using_subcommand
    set -l cmd (__fish_qwen_auth_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -s h -l help -d 'Print help'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -s V -l version -d 'Print version'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -f -a "status" -d 'Show what is in use, and who says so'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -f -a "list" -d 'List the profiles; a star marks the one in use'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -f -a "use" -d 'Make a profile the one in use, at once and everywhere'
complete -c qwen-auth -n "__fish_qwen_auth_needs_command" -f -a "logout" -d 'Revoke and remove the credential of a profile, by default of the one in use'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -l format -d 'How to print it: text or json' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand status" -s h -l help -d 'Print help'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -l format -d 'How to print it: text or json' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand list" -s h -l help -d 'Print help'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -s h -l help -d 'Print help'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -l all -d 'Remove the credentials of all profiles'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -s h -l help -d 'Print help'
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand use" -f -a "(__qwen_profiles)"
complete -c qwen-auth -n "__fish_qwen_auth_using_subcommand logout" -f -a "(__qwen_profiles)"
