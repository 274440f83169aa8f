module qwen-batch-completions {

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

  def "nu-complete qwen-batch profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch color" [] {
    [ "auto" "always" "never" ]
  }

  # Ask a model many questions: JSONL in, JSONL out
  export extern qwen-batch [
    --profile: string@"nu-complete qwen-batch profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

  def "nu-complete qwen-batch run model" [] {
    [ ...(__qwen_models) ]
  }

  def "nu-complete qwen-batch run profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch run color" [] {
    [ "auto" "always" "never" ]
  }

  # Ask every question from here, and go on where an earlier run stopped
  export extern "qwen-batch run" [
    --output(-o): path        # Append the results to this file, and skip what it holds already
    --jobs(-j): string        # Ask so many questions at the same time [default: 8]
    --ordered                 # Write the results in the order of the questions
    --retry-failed            # Ask again what failed in an earlier run
    --no-pace                 # Do not wait for the quota
    --model(-m): string@"nu-complete qwen-batch run model" # Model to ask, whatever the lines say
    --system(-s): string      # Instructions to the model for lines that are prompts
    --template: string        # Take lines as plain text and put each in place of {}, or below the text where there is none
    --param: string           # Set any member of every request, whatever the lines say; null takes it away
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch run profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch run color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    input?: path              # File of questions, one a line; standard input when it is - or missing
  ]

  def "nu-complete qwen-batch submit model" [] {
    [ ...(__qwen_models) ]
  }

  def "nu-complete qwen-batch submit profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch submit color" [] {
    [ "auto" "always" "never" ]
  }

  # Hand a file of questions to the provider's batch engine and print the batch's ID
  export extern "qwen-batch submit" [
    --window: string          # Time that the provider has for it [default: 24h]
    --metadata: string        # Note a word with the batch; may be given several times
    --model(-m): string@"nu-complete qwen-batch submit model" # Model to ask, whatever the lines say
    --system(-s): string      # Instructions to the model for lines that are prompts
    --template: string        # Take lines as plain text and put each in place of {}, or below the text where there is none
    --param: string           # Set any member of every request, whatever the lines say; null takes it away
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch submit profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch submit color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    input: path               # File of questions, one a line; standard input when it is -
  ]

  def "nu-complete qwen-batch status format" [] {
    [ "text" "json" ]
  }

  def "nu-complete qwen-batch status profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch status color" [] {
    [ "auto" "always" "never" ]
  }

  # Print how far a batch has come
  export extern "qwen-batch status" [
    --format: string@"nu-complete qwen-batch status format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch status profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch status color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]

  def "nu-complete qwen-batch wait format" [] {
    [ "text" "json" ]
  }

  def "nu-complete qwen-batch wait profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch wait color" [] {
    [ "auto" "always" "never" ]
  }

  # Wait until a batch has ended, then print how
  export extern "qwen-batch wait" [
    --format: string@"nu-complete qwen-batch wait format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --interval: string        # Ask every so many seconds [default: 5 at first, up to 60]
    --timeout: string         # Give up after this time; the batch goes on [default: never]
    --profile: string@"nu-complete qwen-batch wait profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch wait color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]

  def "nu-complete qwen-batch fetch profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch fetch color" [] {
    [ "auto" "always" "never" ]
  }

  # Get the results of a batch that has ended
  export extern "qwen-batch fetch" [
    --output(-o): path        # Append the results to this file, but for what it holds already
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch fetch profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch fetch color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]

  def "nu-complete qwen-batch cancel format" [] {
    [ "text" "json" ]
  }

  def "nu-complete qwen-batch cancel profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch cancel color" [] {
    [ "auto" "always" "never" ]
  }

  # Stop a batch; what it has done can still be fetched
  export extern "qwen-batch cancel" [
    --format: string@"nu-complete qwen-batch cancel format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch cancel profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch cancel color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]

  def "nu-complete qwen-batch list format" [] {
    [ "text" "json" ]
  }

  def "nu-complete qwen-batch list profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-batch list color" [] {
    [ "auto" "always" "never" ]
  }

  # Print the batches that the provider knows, newest first
  export extern "qwen-batch list" [
    --limit: string           # Print so many batches at most [default: 20]
    --format: string@"nu-complete qwen-batch list format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch list profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch list color" # When to use colour: auto, always or never
    --help(-h)                # Print help
  ]




  # Ask a model many questions: JSONL in, JSONL out
  export extern "qwen batch" [
    --profile: string@"nu-complete qwen-batch profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]




  # Ask every question from here, and go on where an earlier run stopped
  export extern "qwen batch run" [
    --output(-o): path        # Append the results to this file, and skip what it holds already
    --jobs(-j): string        # Ask so many questions at the same time [default: 8]
    --ordered                 # Write the results in the order of the questions
    --retry-failed            # Ask again what failed in an earlier run
    --no-pace                 # Do not wait for the quota
    --model(-m): string@"nu-complete qwen-batch run model" # Model to ask, whatever the lines say
    --system(-s): string      # Instructions to the model for lines that are prompts
    --template: string        # Take lines as plain text and put each in place of {}, or below the text where there is none
    --param: string           # Set any member of every request, whatever the lines say; null takes it away
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch run profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch run color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    input?: path              # File of questions, one a line; standard input when it is - or missing
  ]




  # Hand a file of questions to the provider's batch engine and print the batch's ID
  export extern "qwen batch submit" [
    --window: string          # Time that the provider has for it [default: 24h]
    --metadata: string        # Note a word with the batch; may be given several times
    --model(-m): string@"nu-complete qwen-batch submit model" # Model to ask, whatever the lines say
    --system(-s): string      # Instructions to the model for lines that are prompts
    --template: string        # Take lines as plain text and put each in place of {}, or below the text where there is none
    --param: string           # Set any member of every request, whatever the lines say; null takes it away
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch submit profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch submit color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    input: path               # File of questions, one a line; standard input when it is -
  ]




  # Print how far a batch has come
  export extern "qwen batch status" [
    --format: string@"nu-complete qwen-batch status format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch status profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch status color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]




  # Wait until a batch has ended, then print how
  export extern "qwen batch wait" [
    --format: string@"nu-complete qwen-batch wait format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --interval: string        # Ask every so many seconds [default: 5 at first, up to 60]
    --timeout: string         # Give up after this time; the batch goes on [default: never]
    --profile: string@"nu-complete qwen-batch wait profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch wait color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]



  # Get the results of a batch that has ended
  export extern "qwen batch fetch" [
    --output(-o): path        # Append the results to this file, but for what it holds already
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch fetch profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch fetch color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]




  # Stop a batch; what it has done can still be fetched
  export extern "qwen batch cancel" [
    --format: string@"nu-complete qwen-batch cancel format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch cancel profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch cancel color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    id: string                # ID of the batch, as submit printed it
  ]




  # Print the batches that the provider knows, newest first
  export extern "qwen batch list" [
    --limit: string           # Print so many batches at most [default: 20]
    --format: string@"nu-complete qwen-batch list format" # How to print: text or json
    --retries: string         # Try again so many times when the server is busy or the connection fails [default: 3]
    --connect-timeout: string # Limit for the connection [default: 10]
    --first-byte-timeout: string # Limit for the beginning of an answer [default: 600 for run, else 120]
    --idle-timeout: string    # Limit for a pause within an answer [default: 60]
    --max-time: string        # Limit for each request as a whole [default: none]
    --profile: string@"nu-complete qwen-batch list profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-batch list color" # When to use colour: auto, always or never
    --help(-h)                # Print help
  ]

}

export use qwen-batch-completions *
