use builtin;
use str;

set edit:completion:arg-completer[qwen-batch] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen-batch'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen-batch'= {
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Ask every question from here, and go on where an earlier run stopped'
            cand submit 'Hand a file of questions to the provider''s batch engine and print the batch''s ID'
            cand status 'Print how far a batch has come'
            cand wait 'Wait until a batch has ended, then print how'
            cand fetch 'Get the results of a batch that has ended'
            cand cancel 'Stop a batch; what it has done can still be fetched'
            cand list 'Print the batches that the provider knows, newest first'
        }
        &'qwen-batch;run'= {
            cand -o 'Append the results to this file, and skip what it holds already'
            cand --output 'Append the results to this file, and skip what it holds already'
            cand -j 'Ask so many questions at the same time [default: 8]'
            cand --jobs 'Ask so many questions at the same time [default: 8]'
            cand -m 'Model to ask, whatever the lines say'
            cand --model 'Model to ask, whatever the lines say'
            cand -s 'Instructions to the model for lines that are prompts'
            cand --system 'Instructions to the model for lines that are prompts'
            cand --template 'Take lines as plain text and put each in place of {}, or below the text where there is none'
            cand --param 'Set any member of every request, whatever the lines say; null takes it away'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --ordered 'Write the results in the order of the questions'
            cand --retry-failed 'Ask again what failed in an earlier run'
            cand --no-pace 'Do not wait for the quota'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-batch;submit'= {
            cand --window 'Time that the provider has for it [default: 24h]'
            cand --metadata 'Note a word with the batch; may be given several times'
            cand -m 'Model to ask, whatever the lines say'
            cand --model 'Model to ask, whatever the lines say'
            cand -s 'Instructions to the model for lines that are prompts'
            cand --system 'Instructions to the model for lines that are prompts'
            cand --template 'Take lines as plain text and put each in place of {}, or below the text where there is none'
            cand --param 'Set any member of every request, whatever the lines say; null takes it away'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-batch;status'= {
            cand --format 'How to print: text or json'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-batch;wait'= {
            cand --format 'How to print: text or json'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --interval 'Ask every so many seconds [default: 5 at first, up to 60]'
            cand --timeout 'Give up after this time; the batch goes on [default: never]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-batch;fetch'= {
            cand -o 'Append the results to this file, but for what it holds already'
            cand --output 'Append the results to this file, but for what it holds already'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-batch;cancel'= {
            cand --format 'How to print: text or json'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-batch;list'= {
            cand --limit 'Print so many batches at most [default: 20]'
            cand --format 'How to print: text or json'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of an answer [default: 600 for run, else 120]'
            cand --idle-timeout 'Limit for a pause within an answer [default: 60]'
            cand --max-time 'Limit for each request as a whole [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}

# What may follow a flag or a subcommand; and operands are passed over, so that flags after them are completed.
{
    fn words {|start command @arguments|
        try {
            (external $command) --quiet $@arguments < /dev/null 2> /dev/null | from-lines | each {|line|
                str:split &max=2 ' ' $line[$start..] | take 1
            }
        } catch _ {
            nop
        }
    }
    fn __qwen_profiles { words 2 qwen-auth list }
    fn __qwen_models { words 0 qwen-chat --list-models --retries 0 --max-time 3 }
    var own = $edit:completion:arg-completer[qwen-batch]
    var options = [&--color={ put auto always never } &--format={ put text json } &--model=$__qwen_models~ &--profile=$__qwen_profiles~ &-m=$__qwen_models~]
    var operands = [&]
    set edit:completion:arg-completer[qwen-batch] = {|@words|
        var path = [(each {|word| if (has-value [run submit status wait fetch cancel list] $word) { put $word } } $words[1..-1] | take 1)]
        var operand = (if (eq $path []) { put '' } else { put $path[0] })
        if (has-key $options $words[-2]) {
            $options[$words[-2]]
        } elif (and (has-key $operands $operand) (not (str:has-prefix $words[-1] '-'))) {
            $operands[$operand]
        } else {
            $own $words[0] $@path $words[-1]
        }
    }
}
