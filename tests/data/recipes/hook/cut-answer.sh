# what: half an answer is no proposal
# server: breaks
# asked: 1
change two
GIT_EDITOR='echo mine >' git commit -q
is "$(message)" mine
