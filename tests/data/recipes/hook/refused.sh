# what: a key that is refused holds nothing up
# server: refuses
# asked: 1
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
