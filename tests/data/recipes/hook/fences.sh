# what: fences around the whole answer are no part of a message
# seen: https://github.com/J3n5en/EnsoAI/pull/310
# answer: ```text\nSing at dawn\n\nBirds do.\n```
# asked: 1
change two
git commit -q
is "$(message)" "$(printf 'Sing at dawn\n\nBirds do.')"
