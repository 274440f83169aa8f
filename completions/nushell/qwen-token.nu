module qwen-token-completions {

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

  def "nu-complete qwen-token format" [] {
    [ "raw" "json" "header" "env" "curl" ]
  }

  def "nu-complete qwen-token profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-token color" [] {
    [ "auto" "always" "never" ]
  }

  # Print a valid token, refreshing it when due
  export extern qwen-token [
    --min-ttl: string         # Refresh a token that lives for less than this
    --refresh                 # Refresh the token now
    --no-refresh              # Never refresh: use no network
    --check                   # Print no token, exit 0 when it is valid and 1 when not; use no network
    --format: string@"nu-complete qwen-token format" # Print it like this: raw, json, header, env or curl
    --profile: string@"nu-complete qwen-token profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-token color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]





  # Print a valid token, refreshing it when due
  export extern "qwen token" [
    --min-ttl: string         # Refresh a token that lives for less than this
    --refresh                 # Refresh the token now
    --no-refresh              # Never refresh: use no network
    --check                   # Print no token, exit 0 when it is valid and 1 when not; use no network
    --format: string@"nu-complete qwen-token format" # Print it like this: raw, json, header, env or curl
    --profile: string@"nu-complete qwen-token profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-token color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

}

export use qwen-token-completions *
