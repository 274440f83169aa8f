module qwen-completions {

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

  def "nu-complete qwen profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen color" [] {
    [ "auto" "always" "never" ]
  }

  # Run the qwen tools by name
  export extern qwen [
    --list                    # List the tools that can be run, and what they do
    --exec-path               # Print the directory that is searched before PATH
    --profile: string@"nu-complete qwen profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]
}

export use qwen-completions *
