# what: a heading of Markdown is no comment of git's
# seen: https://github.com/ros-infrastructure/superflore/issues/228
# seen: https://github.com/keymanapp/keyman/pull/14695
# answer: # Sing at dawn\n\n## Why\n\nBirds do.
# asked: 2
change two
git commit -q
is "$(message)" "$(printf 'Sing at dawn\n\nWhy\n\nBirds do.')"
git config core.commentChar ';'
change three
git commit -q
is "$(message)" "$(printf 'Sing at dawn\n\nWhy\n\nBirds do.')"
