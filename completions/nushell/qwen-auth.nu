module qwen-auth-completions {

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

  def "nu-complete qwen-auth status format" [] {
    [ "text" "json" ]
  }

  def "nu-complete qwen-auth status profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth status color" [] {
    [ "auto" "always" "never" ]
  }

  # Show what is in use, and who says so
  export extern "qwen-auth status" [
    --format: string@"nu-complete qwen-auth status format" # How to print it: text or json
    --profile: string@"nu-complete qwen-auth status profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth status color" # When to use colour: auto, always or never
    --help(-h)                # Print help
  ]

  def "nu-complete qwen-auth list format" [] {
    [ "text" "json" ]
  }

  def "nu-complete qwen-auth list profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth list color" [] {
    [ "auto" "always" "never" ]
  }

  # List the profiles; a star marks the one in use
  export extern "qwen-auth list" [
    --format: string@"nu-complete qwen-auth list format" # How to print it: text or json
    --profile: string@"nu-complete qwen-auth list profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth list color" # When to use colour: auto, always or never
    --help(-h)                # Print help
  ]

  def "nu-complete qwen-auth use name" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth use profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth use color" [] {
    [ "auto" "always" "never" ]
  }

  # Make a profile the one in use, at once and everywhere
  export extern "qwen-auth use" [
    --profile: string@"nu-complete qwen-auth use profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth use color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    name: string@"nu-complete qwen-auth use name" # The profile
  ]

  def "nu-complete qwen-auth logout name" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth logout profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-auth logout color" [] {
    [ "auto" "always" "never" ]
  }

  # Revoke and remove the credential of a profile, by default of the one in use
  export extern "qwen-auth logout" [
    --all                     # Remove the credentials of all profiles
    --profile: string@"nu-complete qwen-auth logout profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth logout color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    name?: string@"nu-complete qwen-auth logout name" # The profile
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




  # Show what is in use, and who says so
  export extern "qwen auth status" [
    --format: string@"nu-complete qwen-auth status format" # How to print it: text or json
    --profile: string@"nu-complete qwen-auth status profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth status color" # When to use colour: auto, always or never
    --help(-h)                # Print help
  ]




  # List the profiles; a star marks the one in use
  export extern "qwen auth list" [
    --format: string@"nu-complete qwen-auth list format" # How to print it: text or json
    --profile: string@"nu-complete qwen-auth list profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth list color" # When to use colour: auto, always or never
    --help(-h)                # Print help
  ]




  # Make a profile the one in use, at once and everywhere
  export extern "qwen auth use" [
    --profile: string@"nu-complete qwen-auth use profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth use color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    name: string@"nu-complete qwen-auth use name" # The profile
  ]




  # Revoke and remove the credential of a profile, by default of the one in use
  export extern "qwen auth logout" [
    --all                     # Remove the credentials of all profiles
    --profile: string@"nu-complete qwen-auth logout profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-auth logout color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    name?: string@"nu-complete qwen-auth logout name" # The profile
  ]

}

export use qwen-auth-completions *
