use builtin;
use str;

set edit:completion:arg-completer[qwen-chat] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen-chat'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen-chat'= {
            cand --openai-api-key 'API key; anybody on this machine can read it from the process list'
            cand --openai-base-url 'Base URL of the API, such as https://api.openai.com/v1'
            cand -m 'Model to ask'
            cand --model 'Model to ask'
            cand -p 'Prompt as one option, the way Qwen Code takes it; goes before the words'
            cand --prompt 'Prompt as one option, the way Qwen Code takes it; goes before the words'
            cand -s 'Instructions to the model, as text or from a file'
            cand --system 'Instructions to the model, as text or from a file'
            cand -f 'Add a text file with its name; may be given several times'
            cand --file 'Add a text file with its name; may be given several times'
            cand -i 'Add an image; may be given several times'
            cand --image 'Add an image; may be given several times'
            cand --stdin-timeout 'Give up when standard input brings nothing in this time'
            cand --session 'Keep the conversation under this name and go on with it'
            cand --temperature 'Sampling temperature'
            cand --top-p 'Nucleus sampling threshold'
            cand --max-tokens 'Most tokens of the answer'
            cand --seed 'Seed for a repeatable answer'
            cand --stop 'Stop before this text; may be given several times'
            cand --param 'Set any member of the request; null takes it away'
            cand --schema 'Ask for JSON by this schema, and check that the answer fits'
            cand --reasoning 'What to do with the model''s reasoning: drop, stderr or stdout'
            cand --retries 'Try again so many times when the server is busy or the connection fails [default: 3]'
            cand --connect-timeout 'Limit for the connection [default: 10]'
            cand --first-byte-timeout 'Limit for the beginning of the answer [default: 120]'
            cand --idle-timeout 'Limit for a pause within the answer [default: 60]'
            cand --max-time 'Limit for everything, retries included [default: none]'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --list-models 'Print the models that the endpoint offers'
            cand --dry-run 'Print the request instead of sending it, and where each setting came from'
            cand --curl 'Print a curl command that sends the request with a key from qwen-token'
            cand --stdin 'Read standard input to its end, whatever it is'
            cand --no-stdin 'Do not read standard input'
            cand --continue 'Go on with the session used last'
            cand --json 'Print one JSON object at the end'
            cand --events 'Print one JSON object per line as things happen'
            cand --no-stream 'Ask for the answer in one piece'
            cand --extract 'Print only the first fenced code block'
            cand --usage 'Say on standard error what the answer cost'
            cand --strict 'Exit 1 when the answer was cut by a limit or a filter'
            cand --no-pace 'Do not wait for the quota'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
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
    var own = $edit:completion:arg-completer[qwen-chat]
    var options = [&--color={ put auto always never } &--model=$__qwen_models~ &--profile=$__qwen_profiles~ &--reasoning={ put drop stderr stdout } &-m=$__qwen_models~]
    var operands = [&]
    set edit:completion:arg-completer[qwen-chat] = {|@words|
        var path = [(each {|word| if (has-value [] $word) { put $word } } $words[1..-1] | take 1)]
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
