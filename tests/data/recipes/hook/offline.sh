# what: without a network
# server: off
# asked: 0
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
