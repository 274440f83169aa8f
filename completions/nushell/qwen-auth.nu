module qwen-auth-completions {

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

  def "nu-complete qwen-auth profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth color" [] {
    [ "auto" "always" "never" ]
  }

  # Show, switch and remove credentials
  export extern qwen-auth [
    --profile: string@"nu-complete qwen-auth profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

  # Show, switch and remove credentials
  export extern "qwen auth" [
    --profile: string@"nu-complete qwen-auth profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

}

export use qwen-auth-completions *
