module qwen-chat-completions {

  # What only a running tool knows.
  def __qwen_profiles [] {
    try {
      ^qwen-auth list --quiet | complete | get stdout | lines | each { str substring 2.. | split row ' ' | first }
    } catch { [] }
  }
  def __qwen_models [] {
    try {
      # Not what could be read as code where it is put in.
      ^qwen-chat --list-models --quiet --retries 0 --max-time 3 | complete | get stdout | lines
      | each { split row ' ' | first } | where $it =~ '^\w[\w.:/@%+-]*$'
    } catch { [] }
  }

  def "nu-complete qwen-chat model" [] {
    [ ...(__qwen_models) ]
  }

  def "nu-complete qwen-chat reasoning" [] {
    [ "drop" "stderr" "stdout" ]
  }

  def "nu-complete qwen-chat profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-chat color" [] {
    [ "auto" "always" "never" ]
  }

  # Ask a model one question and print its answer
  export extern qwen-chat [
    --openai-api-key: string  # API key; anybody on this machine can read it from the process list
    --openai-base-url: string # Base URL of the API, such as https://api.openai.com/v1
    --model(-m): string@"nu-complete qwen-chat model" # Model to ask
    --list-models             # Print the models that the endpoint offers
    --dry-run                 # Print the request instead of sending it, and where each setting came from
    --curl                    # Print a curl command that sends the request with a key from qwen-token
    --prompt(-p): string      # Prompt as one option, the way Qwen Code takes it; goes before the words
    --system(-s): string      # Instructions to the model, as text or from a file
    --file(-f): path          # Add a text file with its name; may be given several times
    --image(-i): path         # Add an image; may be given several times
    --stdin                   # Read standard input to its end, whatever it is
    --no-stdin                # Do not read standard input
    --stdin-timeout: string   # Give up when standard input brings nothing in this time
    --session: string         # Keep the conversation under this name and go on with it
    --continue                # Go on with the session used last
    --temperature: string     # Sampling temperature
    --top-p: string           # Nucleus sampling threshold
    --max-tokens: string      # Most tokens of the answer
    --seed: string            # Seed for a repeatable answer
    --stop: string            # Stop before this text; may be given several times
    --param: string           # Set any member of the request; null takes it away
    --schema: path            # Ask for JSON by this schema, and check that the answer fits
    --json                    # Print one JSON object at the end
    --events                  # Print one JSON object per line as things happen
    --no-stream               # Ask for the answer in one piece
    --extract                 # Print only the first fenced code block
    --reasoning: string@"nu-complete qwen-chat reasoning" # What to do with the model's reasoning: drop, stderr or stdout
    --usage                   # Say on standard error what the answer cost
    --strict                  # Exit 1 when the answer was cut by a limit or a filter
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of the answer [default: 120]
    --idle-timeout: string    # Limit for a pause within the answer [default: 60]
    --max-time: string        # Limit for everything, retries included [default: none]
    --no-pace                 # Do not wait for the quota
    --profile: string@"nu-complete qwen-chat profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-chat color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
    ...words: string          # Words of the prompt, joined by blanks; piped input is added after them. None, on a terminal: a conversation
  ]






  # Ask a model one question and print its answer
  export extern "qwen chat" [
    --openai-api-key: string  # API key; anybody on this machine can read it from the process list
    --openai-base-url: string # Base URL of the API, such as https://api.openai.com/v1
    --model(-m): string@"nu-complete qwen-chat model" # Model to ask
    --list-models             # Print the models that the endpoint offers
    --dry-run                 # Print the request instead of sending it, and where each setting came from
    --curl                    # Print a curl command that sends the request with a key from qwen-token
    --prompt(-p): string      # Prompt as one option, the way Qwen Code takes it; goes before the words
    --system(-s): string      # Instructions to the model, as text or from a file
    --file(-f): path          # Add a text file with its name; may be given several times
    --image(-i): path         # Add an image; may be given several times
    --stdin                   # Read standard input to its end, whatever it is
    --no-stdin                # Do not read standard input
    --stdin-timeout: string   # Give up when standard input brings nothing in this time
    --session: string         # Keep the conversation under this name and go on with it
    --continue                # Go on with the session used last
    --temperature: string     # Sampling temperature
    --top-p: string           # Nucleus sampling threshold
    --max-tokens: string      # Most tokens of the answer
    --seed: string            # Seed for a repeatable answer
    --stop: string            # Stop before this text; may be given several times
    --param: string           # Set any member of the request; null takes it away
    --schema: path            # Ask for JSON by this schema, and check that the answer fits
    --json                    # Print one JSON object at the end
    --events                  # Print one JSON object per line as things happen
    --no-stream               # Ask for the answer in one piece
    --extract                 # Print only the first fenced code block
    --reasoning: string@"nu-complete qwen-chat reasoning" # What to do with the model's reasoning: drop, stderr or stdout
    --usage                   # Say on standard error what the answer cost
    --strict                  # Exit 1 when the answer was cut by a limit or a filter
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of the answer [default: 120]
    --idle-timeout: string    # Limit for a pause within the answer [default: 60]
    --max-time: string        # Limit for everything, retries included [default: none]
    --no-pace                 # Do not wait for the quota
    --profile: string@"nu-complete qwen-chat profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-chat color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
    ...words: string          # Words of the prompt, joined by blanks; piped input is added after them. None, on a terminal: a conversation
  ]

}

export use qwen-chat-completions *
