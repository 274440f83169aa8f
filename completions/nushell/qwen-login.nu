module qwen-login-completions {

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

  def "nu-complete qwen-login provider" [] {
    [ "openai" "qwen" "dashscope" "coding-plan" "token-plan" "modelscope" "openrouter" "azure-v1" "azure" "deepseek" "requesty" "xai" "minimax" "zai" "moonshot" "vllm" "llama.cpp" "ollama" "custom" ]
  }

  def "nu-complete qwen-login model" [] {
    [ ...(__qwen_models) ]
  }

  def "nu-complete qwen-login store" [] {
    [ "auto" "keyring" "file" ]
  }

  def "nu-complete qwen-login profile" [] {
    [ ...(__qwen_profiles) ]
  }

  def "nu-complete qwen-login color" [] {
    [ "auto" "always" "never" ]
  }

  # Obtain a credential and store it
  export extern qwen-login [
    --oauth                   # Log in through a browser, on this machine or any other
    --api-key                 # Set up an API key
    --import                  # Adopt the login of Qwen Code
    --provider: string@"nu-complete qwen-login provider" # Use this provider: openai, dashscope, openrouter, …; 'custom' for any other endpoint
    --base-url: string        # Send requests to this endpoint
    --model: string@"nu-complete qwen-login model" # Ask this model
    --with-key                # Read the API key from standard input
    --no-browser              # Open no browser
    --qr                      # Draw the address as a QR code, however narrow the terminal
    --store: string@"nu-complete qwen-login store" # Keep the credential there: auto, keyring or file
    --no-verify               # Store the credential without a trial request
    --profile: string@"nu-complete qwen-login profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-login color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]







  # Obtain a credential and store it
  export extern "qwen login" [
    --oauth                   # Log in through a browser, on this machine or any other
    --api-key                 # Set up an API key
    --import                  # Adopt the login of Qwen Code
    --provider: string@"nu-complete qwen-login provider" # Use this provider: openai, dashscope, openrouter, …; 'custom' for any other endpoint
    --base-url: string        # Send requests to this endpoint
    --model: string@"nu-complete qwen-login model" # Ask this model
    --with-key                # Read the API key from standard input
    --no-browser              # Open no browser
    --qr                      # Draw the address as a QR code, however narrow the terminal
    --store: string@"nu-complete qwen-login store" # Keep the credential there: auto, keyring or file
    --no-verify               # Store the credential without a trial request
    --profile: string@"nu-complete qwen-login profile" # Use this profile instead of the default one
    --directory(-C): directory # Work as if started in this directory
    --quiet(-q)               # Say nothing but errors
    --verbose(-v)             # Say how things were decided; never shows a secret
    --color: string@"nu-complete qwen-login color" # When to use colour: auto, always or never
    --help(-h)                # Print help
    --version(-V)             # Print version
  ]

}

export use qwen-login-completions *
