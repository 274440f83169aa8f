module qwen-env-completions {

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

  def "nu-complete qwen-env shell" [] {
    [ "sh" "dash" "bash" "zsh" "ksh" "mksh" "busybox" "yash" "posh" "fish" "tcsh" "csh" "elvish" "xonsh" "nu" "pwsh" ]
  }

  def "nu-complete qwen-env format" [] {
    [ "shell" "json" "dotenv" "null" ]
  }

  def "nu-complete qwen-env hook" [] {
    [ "bash" "zsh" "fish" "elvish" "nu" ]
  }

  def "nu-complete qwen-env chain" [] {
    [ "first" "merge" ]
  }

  def "nu-complete qwen-env profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-env color" [] {
    [ "auto" "always" "never" ]
  }

  # Print the resolved .env chain as shell code
  export extern qwen-env [
    --shell: string@"nu-complete qwen-env shell" # Write for this shell instead of the parent process: sh, dash, bash, zsh, ksh, mksh, busybox, yash, posh, fish, tcsh, csh, elvish, xonsh, nu, pwsh
    --format: string@"nu-complete qwen-env format" # Write shell code (shell) or data (json, dotenv, null)
    --get: string             # Print the value of one variable; exit 1 when it is unset
    --explain                 # Tell every file and every variable with its fate, values masked
    --show-secrets            # With --explain: show the values
    --check                   # Look for mistakes in the files; exit 65 when there are any
    --hook: string@"nu-complete qwen-env hook" # Print code that re-evaluates on a change of directory, for bash, zsh, fish, elvish or nu
    --unset                   # Take back what earlier calls exported
    --auth                    # Add OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL of the active profile
    --chain: string@"nu-complete qwen-env chain" # Combine the files by this rule: first, or merge
    --override                # Let the files win over the environment
    --file: path              # Use this file instead of the chain
    --require                 # Fail with exit 66 when no file is found
    --trust: path             # Trust the project's file, or FILE, with its present content
    --untrust: path           # Take that trust back
    --profile: string@"nu-complete qwen-env profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-env color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]








  # Print the resolved .env chain as shell code
  export extern "qwen env" [
    --shell: string@"nu-complete qwen-env shell" # Write for this shell instead of the parent process: sh, dash, bash, zsh, ksh, mksh, busybox, yash, posh, fish, tcsh, csh, elvish, xonsh, nu, pwsh
    --format: string@"nu-complete qwen-env format" # Write shell code (shell) or data (json, dotenv, null)
    --get: string             # Print the value of one variable; exit 1 when it is unset
    --explain                 # Tell every file and every variable with its fate, values masked
    --show-secrets            # With --explain: show the values
    --check                   # Look for mistakes in the files; exit 65 when there are any
    --hook: string@"nu-complete qwen-env hook" # Print code that re-evaluates on a change of directory, for bash, zsh, fish, elvish or nu
    --unset                   # Take back what earlier calls exported
    --auth                    # Add OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL of the active profile
    --chain: string@"nu-complete qwen-env chain" # Combine the files by this rule: first, or merge
    --override                # Let the files win over the environment
    --file: path              # Use this file instead of the chain
    --require                 # Fail with exit 66 when no file is found
    --trust: path             # Trust the project's file, or FILE, with its present content
    --untrust: path           # Take that trust back
    --profile: string@"nu-complete qwen-env profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-env color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

}

export use qwen-env-completions *
