# What only a running tool knows.
function __qwen_profiles
    qwen-auth list --quiet 2>/dev/null </dev/null | string sub -s 3 | string replace -r '\s.*' ''
end
function __qwen_models
    qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | string replace -r '\s.*' ''
end

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_qwen_batch_global_optspecs
    string join \n profile= C/directory= q/quiet v/verbose color= h/help V/version
end

function __fish_qwen_batch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_qwen_batch_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_qwen_batch_using_subcommand
    set -l cmd (__fish_qwen_batch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -s V -l version -d 'Print version'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "run" -d 'Ask every question from here, and go on where an earlier run stopped'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "submit" -d 'Hand a file of questions to the provider\'s batch engine and print the batch\'s ID'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "status" -d 'Print how far a batch has come'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "wait" -d 'Wait until a batch has ended, then print how'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "fetch" -d 'Get the results of a batch that has ended'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "cancel" -d 'Stop a batch; what it has done can still be fetched'
complete -c qwen-batch -n "__fish_qwen_batch_needs_command" -f -a "list" -d 'Print the batches that the provider knows, newest first'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s o -l output -d 'Append the results to this file, and skip what it holds already' -r -F
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s j -l jobs -d 'Ask so many questions at the same time [default: 8]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s m -l model -d 'Model to ask, whatever the lines say' -r -f -a "(__qwen_models)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s s -l system -d 'Instructions to the model for lines that are prompts' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l template -d 'Take lines as plain text and put each in place of {}, or below the text where there is none' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l param -d 'Set any member of every request, whatever the lines say; null takes it away' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l ordered -d 'Write the results in the order of the questions'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l retry-failed -d 'Ask again what failed in an earlier run'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -l no-pace -d 'Do not wait for the quota'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand run" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l window -d 'Time that the provider has for it [default: 24h]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l metadata -d 'Note a word with the batch; may be given several times' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -s m -l model -d 'Model to ask, whatever the lines say' -r -f -a "(__qwen_models)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -s s -l system -d 'Instructions to the model for lines that are prompts' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l template -d 'Take lines as plain text and put each in place of {}, or below the text where there is none' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l param -d 'Set any member of every request, whatever the lines say; null takes it away' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand submit" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l format -d 'How to print: text or json' -r -f -a "text\t'For people and awk'
json\t'The provider\'s own object on one line'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand status" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l format -d 'How to print: text or json' -r -f -a "text\t'For people and awk'
json\t'The provider\'s own object on one line'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l interval -d 'Ask every so many seconds [default: 5 at first, up to 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l timeout -d 'Give up after this time; the batch goes on [default: never]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand wait" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -s o -l output -d 'Append the results to this file, but for what it holds already' -r -F
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand fetch" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l format -d 'How to print: text or json' -r -f -a "text\t'For people and awk'
json\t'The provider\'s own object on one line'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand cancel" -s h -l help -d 'Print help'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l limit -d 'Print so many batches at most [default: 20]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l format -d 'How to print: text or json' -r -f -a "text\t'For people and awk'
json\t'The provider\'s own object on one line'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l retries -d 'Try again so many times when the server is busy or the connection fails [default: 3]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l connect-timeout -d 'Limit for the connection [default: 10]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l first-byte-timeout -d 'Limit for the beginning of an answer [default: 600 for run, else 120]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l idle-timeout -d 'Limit for a pause within an answer [default: 60]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l max-time -d 'Limit for each request as a whole [default: none]' -r
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l profile -d 'Use this profile instead of the default one' -r -f -a "(__qwen_profiles)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -s C -l directory -d 'Work as if started in this directory' -r -f -a "(__fish_complete_directories)"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -l color -d 'When to use colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -s q -l quiet -d 'Say nothing but errors'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -s v -l verbose -d 'Say how things were decided; never shows a secret'
complete -c qwen-batch -n "__fish_qwen_batch_using_subcommand list" -s h -l help -d 'Print help'
