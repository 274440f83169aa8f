# what: a server that does not answer holds nothing up for long
# server: holds
# asked: 1
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
