module qwen-batch-completions {

  # What only a running tool knows.
  def __qwen_profiles [] {
    try {
      ^qwen-auth list --quiet | complete | get stdout | lines | each { str substring 2.. | split row ' ' | first }
    } catch { [] }
  }
  def __qwen_models [] {
    try {
      ^qwen-chat --list-models --quiet --retries 0 --max-time 3 | complete | get stdout | lines | each { split row ' ' | first }
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

}

export use qwen-batch-completions *
