
  # What only a running tool knows.
  def __qwen_profiles [] {
    try { ^qwen-auth list --names | complete | get stdout | lines } catch { [] }
  }
  def __qwen_models [] {
    try {
      ^qwen-chat --list-models --quiet --retries 0 --max-time 3 | complete | get stdout | lines | split column ' ' id | get id
    } catch { [] }
  }
